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
const RESULT_TTL_S = Number(process.env.RESULT_TTL_S ?? 3600);
const STATES = { completed: 'succeeded', active: 'running', failed: 'failed' };

const connect = (options) => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null, ...options });

const redis = connect({ enableAutoPipelining: true });
const queue = new Queue('sample', {
  connection: redis,
  defaultJobOptions: { removeOnComplete: { age: RESULT_TTL_S }, removeOnFail: { age: RESULT_TTL_S } },
});
// Each waiting caller listens for its own job, and for the end of the queue.
queue.setMaxListeners(0);

// QueueEvents reads four events of every job, which costs as much as adding it: only while somebody waits, and a little
// longer. It goes on from the last event before that, so that none is missed.
const LINGER_MS = 1000;
let events;
let waiting = 0;
let leaving;

async function openEvents() {
  const [last] = await redis.xrevrange(queue.keys.events, '+', '-', 'COUNT', 1);
  const opened = new QueueEvents('sample', { connection: connect(), lastEventId: last?.[0] ?? '0' });
  opened.setMaxListeners(0);
  opened.on('error', console.error);
  return opened;
}

async function closeEvents() {
  const closing = events;
  events = undefined;
  await (await closing)?.close();
}

function beginWait() {
  clearTimeout(leaving);
  waiting += 1;
}

function endWait() {
  waiting -= 1;
  if (waiting === 0) leaving = setTimeout(closeEvents, LINGER_MS);
}

const front = Fastify({ bodyLimit: BODY_LIMIT });
// A body is passed on as it came, whatever it is.
front.removeAllContentTypeParsers();
front.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body));

function add(request) {
  return queue.add('call', {
    path: request.url.slice('/call/sample'.length),
    type: request.headers['content-type'],
    // A job's data is JSON: latin1 carries any byte and is cheaper than base64.
    body: request.body?.latin1Slice() ?? '',
  });
}

async function addAndWait(request) {
  beginWait();
  try {
    events ??= openEvents();
    const listening = await events;
    const job = await add(request);
    return await job.waitUntilFinished(listening, SYNC_LIMIT_MS);
  } finally {
    endWait();
  }
}

front.post('/call/sample/*', async (request, reply) => {
  if (request.headers.prefer === 'respond-async') {
    const job = await add(request);
    reply.code(202).header('location', `/v1/jobs/${job.id}`);
    return { id: job.id, state: 'queued' };
  }
  let answer;
  try {
    answer = await addAndWait(request);
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
  await Promise.all([queue.close(), closeEvents()]);
  process.exit(0);
});
await front.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
