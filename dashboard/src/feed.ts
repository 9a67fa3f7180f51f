// The connection to the scheduler: frames come, questions go. It comes back by itself.

import { decode } from "./msgpack";

type Answer = { resolve: (value: any) => void; reject: (error: Error) => void };

export interface Source {
  ask(question: string, args?: { [name: string]: unknown }): Promise<any>;
}

export class Feed implements Source {
  private socket: WebSocket | null = null;
  private readonly asked = new Map<number, Answer>();
  private number = 0;
  private patience = 500;

  constructor(
    private readonly base: string, // where the server's pages are, from this one
    private readonly onFrame: (frame: any) => void,
    private readonly onState: (connected: boolean) => void,
  ) {}

  connect(): void {
    const url = new URL(`${this.base}feed`, document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = "";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.patience = 500;
      this.onState(true);
    };
    socket.onmessage = (event) => this.receive(decode(new Uint8Array(event.data as ArrayBuffer)));
    socket.onclose = () => this.lost();
    this.socket = socket;
  }

  ask(question: string, args: { [name: string]: unknown } = {}): Promise<any> {
    const socket = this.socket;
    if (!socket || socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Error("not connected to the scheduler"));
    }
    const number = ++this.number;
    socket.send(JSON.stringify({ number, question, arguments: args }));
    return new Promise((resolve, reject) => this.asked.set(number, { resolve, reject }));
  }

  disconnect(): void {
    this.socket?.close();
  }

  private receive(message: any): void {
    if (message.kind !== "answer") {
      this.onFrame(message);
      return;
    }
    const waiting = this.asked.get(message.number);
    this.asked.delete(message.number);
    if (message.error !== undefined && message.error !== null) waiting?.reject(new Error(message.error));
    else waiting?.resolve(message.answer);
  }

  private lost(): void {
    this.onState(false);
    for (const waiting of this.asked.values()) waiting.reject(new Error("the connection was lost"));
    this.asked.clear();
    // An invisible page waits until it is looked at.
    const again = () => {
      if (document.hidden) document.addEventListener("visibilitychange", again, { once: true });
      else this.connect();
    };
    setTimeout(again, this.patience);
    this.patience = Math.min(this.patience * 1.7, 10_000);
  }
}
