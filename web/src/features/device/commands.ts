import type { QueryClient } from '@tanstack/react-query';
import type { Schemas } from '@/api/client';
import { queries } from '@/api/queries';

export type Command = Schemas['Command'];
export type CommandList = Schemas['CommandList'];

/** How far it has come, on the way that most go: sent, delivered, answered. */
export const STEPS = ['queued', 'sent', 'delivered', 'answered'] as const;

export function stepOf(command: Command): number {
  if (command.state === 'succeeded' || command.state === 'failed') return 3;
  if (command.delivered_at) return 2;
  if (command.sent_at) return 1;
  return 0;
}

/** Steps that lie before it. What ended elsewhere goes no further. */
export const isPending = (command: Command) => !command.finished;

/** The newer of two looks at one command: what the server said first may arrive last. */
function newer(a: Command, b: Command): Command {
  const rank = (c: Command) => (c.finished ? 10 : 0) + stepOf(c) + c.deliveries / 1000;
  return rank(b) >= rank(a) ? b : a;
}

/** Puts a command into the list of its device, newest first. */
export function withCommand(list: CommandList | undefined, command: Command): CommandList {
  const old = list ?? { commands: [], next: null };
  const known = old.commands.find((c) => c.id === command.id);
  if (!known) return { ...old, commands: [command, ...old.commands] };
  const next = newer(known, command);
  return { ...old, commands: old.commands.map((c) => (c.id === command.id ? next : c)) };
}

export function noteCommand(client: QueryClient, command: Command): void {
  client.setQueryData<CommandList>(queries.commands(command.device).queryKey, (list) =>
    list ? withCommand(list, command) : list,
  );
}

/** The JSON that was typed; nothing typed is no payload. A bare word is not JSON, and is not taken for a text. */
export function parsePayload(text: string): { value: unknown } | { error: true } {
  if (text.trim() === '') return { value: null };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { error: true };
  }
}
