const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** Compares names as people sort them, and as the server does: "room 2" before "room 10", whatever the case. */
export const naturally = (a: string, b: string): number => collator.compare(a, b);
