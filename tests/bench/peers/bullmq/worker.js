// SPDX-License-Identifier: Apache-2.0
// The BullMQ peer's worker: calls the tenant; what it returns, BullMQ keeps as the job's result.
//
// Environment: REDIS_URL, TENANT_URL, CONCURRENCY (256).

import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Pool } from 'undici';

const CONCURRENCY = Number(process.env.CONCURRENCY ?? 256);

const tenant = new Pool(process.env.TENANT_URL, { connections: CONCURRENCY });

async function call({ id, data }) {
  const headers = { 'idempotency-key': id };
  if (data.type) headers['content-type'] = data.type;
  const answer = await tenant.request({
    method: 'POST', path: data.path, headers, body: Buffer.from(data.body, 'latin1'),
  });
  const body = Buffer.from(await answer.body.arrayBuffer());
  return {
    status: answer.statusCode,
    type: answer.headers['content-type'] ?? '',
    body: body.latin1Slice(),
  };
}

const worker = new Worker('sample', call, {
  connection: new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null }),
  concurrency: CONCURRENCY,
});
worker.on('error', console.error);

process.once('SIGTERM', async () => {
  await worker.close();
  process.exit(0);
});
