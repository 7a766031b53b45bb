// SPDX-License-Identifier: Apache-2.0
// The node peer's HTTP front: a call becomes a persistent message on a durable queue; its result comes
// back over Redis, to a waiting caller by pub/sub on this front's own channel, to others by its key.
//
// Environment: PORT, RABBITMQ_URL, REDIS_URL, QUEUE_TYPE (classic or quorum).

import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { QUEUE, connectBroker, declareQueue, decodeResult, onTerm, resultKey } from './shared.js';

const SYNC_LIMIT_MS = 60_000;
const BODY_LIMIT = 16 * 1024 * 1024;
const REPLY_CHANNEL = `peer:reply:${randomUUID()}`;

const connection = await connectBroker();
const channel = await connection.createConfirmChannel();
await declareQueue(channel);

const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });
const subscriber = new Redis(process.env.REDIS_URL);

const waiting = new Map();
subscriber.on('messageBuffer', (_, bytes) => {
  const result = decodeResult(bytes);
  waiting.get(result.id)?.(result);
});
await subscriber.subscribe(REPLY_CHANNEL);

function publish(id, request, replyTo) {
  return new Promise((resolve, reject) => {
    channel.publish('', QUEUE, request.body ?? Buffer.alloc(0), {
      persistent: true,
      messageId: id,
      correlationId: id,
      replyTo,
      contentType: request.headers['content-type'],
      headers: { path: request.url.slice('/call/sample'.length) },
    }, (error) => (error ? reject(error) : resolve()));
  });
}

function resultOf(id) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(undefined), SYNC_LIMIT_MS);
    const done = (result) => {
      clearTimeout(timer);
      waiting.delete(id);
      resolve(result);
    };
    waiting.set(id, done);
  });
}

const front = Fastify({ bodyLimit: BODY_LIMIT });
// A body is passed on as it came, whatever it is.
front.removeAllContentTypeParsers();
front.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body));

front.post('/call/sample/*', async (request, reply) => {
  const id = randomUUID();
  if (request.headers.prefer === 'respond-async') {
    await publish(id, request);
    reply.code(202).header('location', `/v1/jobs/${id}`);
    return { id, state: 'queued' };
  }
  const result = resultOf(id);
  // The result says that the message was there: only a refusal is of interest before.
  publish(id, request, REPLY_CHANNEL).catch(() => waiting.get(id)?.({ status: 503, type: '' }));
  const answer = await result;
  if (!answer) return reply.code(504).send();
  if (answer.type) reply.type(answer.type);
  return reply.code(answer.status).send(answer.body);
});

// Nothing is written when a job is accepted (the broker has it): without a result, it is queued.
front.get('/v1/jobs/:id', async (request) => {
  const { id } = request.params;
  const bytes = await redis.getBuffer(resultKey(id));
  if (!bytes) return { id, state: 'queued' };
  const { state, status } = decodeResult(bytes);
  return { id, state, status };
});

onTerm(async () => {
  await front.close();
  connection.removeAllListeners('close');
  await connection.close();
});
await front.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
