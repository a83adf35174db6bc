/** Why events are missing. */
export type GapReason =
  /** The events were older than the server keeps them. */
  | 'age'
  /** More events were published than the server keeps. */
  | 'number'
  /** The server has lost its history: after a crash, or a failover of Redis. All clients are told at once. */
  | 'generation'
  /** The channel's history was deleted. */
  | 'deleted'
  /** This client has asked for too much within a short time. */
  | 'limited'
  /** Nobody knows whether events are missing. */
  | 'unknown'
  | (string & {});

export interface ResumeOptions {
  /**
   * By channel: the position of the data that the page shows, from `broadcast.position(channel)` on the server.
   * `null`: the channel keeps no history.
   */
  positions?: Record<string, string | null>;
  /** By channel: with how many of the last events a subscription begins, where the server allows it. */
  rewind?: Record<string, number>;
  /** Keep positions in sessionStorage over a reload. Only for pages whose state survives the reload too. */
  persist?: boolean;
  /** Nothing is missing: `count` events follow, which the channel's handlers get as if they were new. */
  onResumed?(channel: string, count: number): void;
  /** Events are missing: fetch the data again. After the reason "generation" wait a random time up to 5 s before. */
  onGap?(channel: string, reason: GapReason): void;
}

export interface Resumption {
  /** By channel: the position of the last event that the handlers were given. */
  positions(): Record<string, string>;
}

/** What resume() needs of a Pusher of pusher-js. */
export interface PusherLike {
  send_event(name: string, data: any, channel?: string): boolean;
  channel(name: string): any;
}

/** What resume() needs of an Echo of laravel-echo. */
export interface EchoLike {
  connector: object;
}

/**
 * Let a Pusher or an Echo resume: after a reconnect its channels go on after the last event that they were given.
 * Call it before the first subscription. A second call for the same Pusher adds options, and returns the same object.
 */
export function resume(pusherOrEcho: PusherLike | EchoLike, options?: ResumeOptions): Resumption;
