// SPDX-License-Identifier: Apache-2.0
// The BullMQ peer's HTTP front: a call becomes a job in Redis; who waits for it hears of its end through
// QueueEvents, as BullMQ's documentation has it.
//
// Environment: PORT, REDIS_URL.

import Fastify from 'fastify';
import { Queue, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';

const SYNC_LIMIT_MS = 60_000;
const BODY_LIMIT = 16 * 1024 * 1024;
const RESULT_TTL_S = 3600;
const STATES = { completed: 'succeeded', active: 'running', failed: 'failed' };

const connect = (options) => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null, ...options });

const queue = new Queue('sample', {
  connection: connect({ enableAutoPipelining: true }),
  defaultJobOptions: { removeOnComplete: { age: RESULT_TTL_S }, removeOnFail: { age: RESULT_TTL_S } },
});
const events = new QueueEvents('sample', { connection: connect() });
// Each waiting caller listens for its own job, and for the end of the queue.
events.setMaxListeners(0);
queue.setMaxListeners(0);
await events.waitUntilReady();

const front = Fastify({ bodyLimit: BODY_LIMIT });
// A body is passed on as it came, whatever it is.
front.removeAllContentTypeParsers();
front.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body));

front.post('/call/sample/*', async (request, reply) => {
  const job = await queue.add('call', {
    path: request.url.slice('/call/sample'.length),
    type: request.headers['content-type'],
    // A job's data is JSON: latin1 carries any byte and is cheaper than base64.
    body: request.body?.latin1Slice() ?? '',
  });
  if (request.headers.prefer === 'respond-async') {
    reply.code(202).header('location', `/v1/jobs/${job.id}`);
    return { id: job.id, state: 'queued' };
  }
  let answer;
  try {
    answer = await job.waitUntilFinished(events, SYNC_LIMIT_MS);
  } catch {
    return reply.code(502).send();
  }
  if (answer.type) reply.type(answer.type);
  return reply.code(answer.status).send(Buffer.from(answer.body, 'latin1'));
});

front.get('/v1/jobs/:id', async (request) => {
  const { id } = request.params;
  return { id, state: STATES[await queue.getJobState(id)] ?? 'queued' };
});

process.once('SIGTERM', async () => {
  await front.close();
  await Promise.all([queue.close(), events.close()]);
  process.exit(0);
});
await front.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
