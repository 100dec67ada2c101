import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { clock } from '@/lib/clock';
import { LiveChartView, type LiveTrace } from './LiveChartView';

/** Fills its parent. React only says what to draw; the drawing is LiveChartView's, once per frame. */
export function LiveChart({
  traces,
  span,
  paused,
  label,
}: {
  traces: LiveTrace[];
  span: number;
  paused?: boolean;
  label: string;
}) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<LiveChartView | null>(null);
  const scheme = useComputedColorScheme();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the span is handed over below without building anew
  useEffect(() => {
    const made = new LiveChartView(host.current!, clock, span);
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
  }, []);
  useEffect(() => view.current?.setTraces(traces), [traces]);
  useEffect(() => view.current?.setSpan(span), [span]);
  useEffect(() => view.current?.setPaused(paused ?? false), [paused]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: canvases read their colours anew when the scheme changes
  useEffect(() => view.current?.restyle(), [scheme]);

  return <div ref={host} className="chart" style={{ height: '100%' }} role="img" aria-label={label} />;
}
