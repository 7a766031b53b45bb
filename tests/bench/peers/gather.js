// SPDX-License-Identifier: Apache-2.0
// A client that writes each command or frame by itself costs a system call for each; with this, those of one turn of
// the loop (messages of many callers, acknowledgements of many jobs) go out in one.

export function gatherWrites(stream) {
  const write = stream.write.bind(stream);
  stream.write = (...words) => {
    if (stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    return write(...words);
  };
}
