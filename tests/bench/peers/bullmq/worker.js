// SPDX-License-Identifier: Apache-2.0
// The BullMQ peer's worker: calls the tenant; what it returns, BullMQ keeps as the job's result.
//
// Environment: REDIS_URL, TENANT_URL, CONCURRENCY (256).

import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Pool } from 'undici';
import { gatherWrites } from './gather.js';

const CONCURRENCY = Number(process.env.CONCURRENCY ?? 256);

const tenant = new Pool(process.env.TENANT_URL, { connections: CONCURRENCY });

// undici's own handlers, as in the node peer: half the processor time of request().
function call({ id, data }) {
  const headers = { 'idempotency-key': id };
  if (data.type) headers['content-type'] = data.type;
  const result = { status: 502, type: '', body: '' };
  return new Promise((resolve, reject) => {
    const chunks = [];
    tenant.dispatch({ method: 'POST', path: data.path, headers, body: Buffer.from(data.body, 'latin1') }, {
      onRequestStart() {},
      onResponseStart(_, status, answered) {
        result.status = status;
        result.type = answered['content-type'] ?? '';
      },
      onResponseData(_, chunk) {
        chunks.push(chunk);
      },
      onResponseEnd() {
        result.body = (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)).latin1Slice();
        resolve(result);
      },
      onResponseError(_, error) {
        reject(error);
      },
    });
  });
}

// Gathered here; ioredis' own autopipelining, good for the front, cost the worker a third more when it was tried.
const redis = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
redis.on('connect', () => gatherWrites(redis.stream));

const worker = new Worker('sample', call, {
  connection: redis,
  concurrency: CONCURRENCY,
});
worker.on('error', console.error);

process.once('SIGTERM', async () => {
  await worker.close();
  process.exit(0);
});
