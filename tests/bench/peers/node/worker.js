// SPDX-License-Identifier: Apache-2.0
// The node peer's worker: takes messages, calls the tenant, stores the result with a lifetime, tells
// the caller that waits, and only then acknowledges.
//
// Environment: RABBITMQ_URL, REDIS_URL, TENANT_URL, QUEUE_TYPE, CONCURRENCY (256).

import { Redis } from 'ioredis';
import { Pool } from 'undici';
import {
  QUEUE, RESULT_TTL_S, connectBroker, declareQueue, encodeResult, onTerm, resultKey,
} from './shared.js';

const CONCURRENCY = Number(process.env.CONCURRENCY ?? 256);
const NOTHING = Buffer.alloc(0);

const tenant = new Pool(process.env.TENANT_URL, { connections: CONCURRENCY });
// Many results that end in one turn of the loop go out in one write.
const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });

const connection = await connectBroker();
const channel = await connection.createChannel();
await declareQueue(channel);
await channel.prefetch(CONCURRENCY);

// undici's own handlers, which need no stream for each answer: half the processor time of request().
function call({ content, properties }) {
  const headers = { 'idempotency-key': properties.messageId };
  if (properties.contentType) headers['content-type'] = properties.contentType;
  const result = { id: properties.correlationId, status: 502, type: '', body: NOTHING };
  return new Promise((resolve) => {
    const chunks = [];
    tenant.dispatch({ method: 'POST', path: properties.headers.path, headers, body: content }, {
      onRequestStart() {},
      onResponseStart(_, status, answered) {
        result.status = status;
        result.type = answered['content-type'] ?? '';
      },
      onResponseData(_, chunk) {
        chunks.push(chunk);
      },
      onResponseEnd() {
        result.body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
        resolve(result);
      },
      onResponseError() {
        resolve({ ...result, status: 502, type: '' });
      },
    });
  });
}

async function handle(message) {
  const result = await call(message);
  const bytes = encodeResult(result);
  const stored = redis.setex(resultKey(result.id), RESULT_TTL_S, bytes);
  const { replyTo } = message.properties;
  if (replyTo) redis.publish(replyTo, bytes);
  await stored;
  channel.ack(message);
}

const { consumerTag } = await channel.consume(QUEUE, (message) => {
  // Not acknowledged: it comes again when this process is gone.
  handle(message).catch((error) => {
    console.error(error);
    process.exit(1);
  });
});

onTerm(async () => {
  await channel.cancel(consumerTag);
  connection.removeAllListeners('close');
  await connection.close();
});
