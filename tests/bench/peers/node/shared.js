// SPDX-License-Identifier: Apache-2.0
// What front and worker of the node peer agree upon: the queue, and how a result is written down.
//
// A result is one value in Redis, and the same bytes are the reply to a waiting caller:
//   ID \n STATE \n STATUS \n CONTENT-TYPE \n BODY
// so that a body is never turned into JSON and back.

import amqp from 'amqplib';
import { gatherWrites } from './gather.js';

const QUEUE_TYPE = process.env.QUEUE_TYPE ?? 'classic';
// A queue never changes its type.
export const QUEUE = `peer.sample.${QUEUE_TYPE}`;
export const RESULT_TTL_S = Number(process.env.RESULT_TTL_S ?? 3600);

export async function connectBroker() {
  const connection = await amqp.connect(process.env.RABBITMQ_URL, { noDelay: true });
  gatherWrites(connection.connection.stream);
  // Whoever supervises it starts it again; the broker delivers again what was not acknowledged.
  connection.on('close', () => process.exit(1));
  return connection;
}

export function declareQueue(channel) {
  return channel.assertQueue(QUEUE, {
    durable: true,
    arguments: { 'x-queue-type': QUEUE_TYPE },
  });
}

export const resultKey = (id) => `peer:result:${id}`;

export function encodeResult({ id, status, type, body }) {
  const state = status < 500 ? 'succeeded' : 'failed';
  return Buffer.concat([Buffer.from(`${id}\n${state}\n${status}\n${type}\n`), body]);
}

export function decodeResult(bytes) {
  const words = [];
  let from = 0;
  while (words.length < 4) {
    const end = bytes.indexOf(10, from);
    words.push(bytes.latin1Slice(from, end));
    from = end + 1;
  }
  const [id, state, status, type] = words;
  return { id, state, status: Number(status), type, body: bytes.subarray(from) };
}

// What a worker has not acknowledged by then comes again.
export function onTerm(close) {
  process.once('SIGTERM', () => close().then(() => process.exit(0), () => process.exit(1)));
}
