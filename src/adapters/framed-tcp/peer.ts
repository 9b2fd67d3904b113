import type { Socket } from 'node:net';
import { FrameReader, frameHead } from './frames.ts';

const MOST_FRAME = 64 << 20;
/** A frame with nothing in it: I am still here. */
const PING_EVERY_MS = 500;
/** So long without anything: the other side, or the way to it, is gone. */
const SILENT_MS = 4_000;
/** More than this waits to be sent: what comes is let go of; who sends has to send again anyway. */
const MOST_WAITING = 32 << 20;

/** One connection that carries frames both ways. */
export class Peer {
  readonly #socket: Socket;
  readonly #reader = new FrameReader(MOST_FRAME);
  readonly #timer: NodeJS.Timeout;
  #heardAt = performance.now();
  #corked = false;
  /** Payload and framing, as sent and received. */
  sentBytes = 0;
  receivedBytes = 0;
  droppedFrames = 0;
  onFrame: (frame: Buffer) => void = () => {};
  onClose: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      clearInterval(this.#timer);
      this.onClose();
    });
    this.#timer = setInterval(() => this.#ping(), PING_EVERY_MS);
  }

  /** Sends a frame of these parts, or lets go of it when too much waits already. */
  send(parts: readonly Buffer[]): boolean {
    if (this.#socket.destroyed) return false;
    if (this.#socket.writableLength > MOST_WAITING) {
      this.droppedFrames += 1;
      return false;
    }
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    this.#cork();
    this.#socket.write(frameHead(bytes));
    for (const part of parts) this.#socket.write(part);
    this.sentBytes += bytes + 4;
    return true;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** All that is sent in one turn of the event loop goes to the kernel together. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  #hear(chunk: Buffer): void {
    this.#heardAt = performance.now();
    this.receivedBytes += chunk.length;
    try {
      for (const frame of this.#reader.push(chunk)) if (frame.length > 0) this.onFrame(frame);
    } catch {
      // Not one of ours, or out of step: a new connection begins anew.
      this.#socket.destroy();
    }
  }

  #ping(): void {
    if (performance.now() - this.#heardAt > SILENT_MS) this.#socket.destroy();
    else if (this.#socket.writableLength === 0) this.send([]);
  }
}
