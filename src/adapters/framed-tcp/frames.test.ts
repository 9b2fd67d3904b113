import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameReader, frameHead } from './frames.ts';

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 })),
      fc.array(fc.integer({ min: 1, max: 200 })),
      (frames, cuts) => {
        const stream = Buffer.concat(frames.flatMap((frame) => [frameHead(frame.length), Buffer.from(frame)]));
        const reader = new FrameReader(1000);
        const out: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i += 1) {
          const size = cuts.length === 0 ? 7 : (cuts[i % cuts.length] as number);
          out.push(...[...reader.push(stream.subarray(at, at + size))].map((frame) => Buffer.from(frame)));
          at += size;
        }
        expect(out.map((frame) => [...frame])).toEqual(frames.map((frame) => [...frame]));
      },
    ),
  );
});

test('what is too long to be a frame is refused', () => {
  expect(() => [...new FrameReader(10).push(frameHead(11))]).toThrow(RangeError);
});
