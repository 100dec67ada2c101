/** First index whose time is at least `time`; `length` where there is none. `timeAt` ascends. */
export function lowerBound(length: number, timeAt: (index: number) => number, time: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (timeAt(middle) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
