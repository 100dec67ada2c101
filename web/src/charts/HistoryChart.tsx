import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { clock } from '@/lib/clock';
import type { View } from '@/lib/window';
import { HistoryChartView, type HistoryTrace } from './HistoryChartView';

export function HistoryChart({
  traces,
  view,
  paneHeight,
  onZoom,
  onZoomOut,
  onWidth,
  label,
}: {
  traces: HistoryTrace[];
  view: View;
  paneHeight: number;
  onZoom: (from: number, to: number) => void;
  onZoomOut: () => void;
  onWidth: (plotWidth: number) => void;
  label: string;
}) {
  const host = useRef<HTMLDivElement>(null);
  const made = useRef<HistoryChartView | null>(null);
  const scheme = useComputedColorScheme();
  const handlers = useRef({ onZoom, onZoomOut, onWidth });
  handlers.current = { onZoom, onZoomOut, onWidth };

  useEffect(() => {
    const chart = new HistoryChartView(host.current!, clock, paneHeight, (width) =>
      handlers.current.onWidth(width),
    );
    chart.onZoom = (from, to) => handlers.current.onZoom(from, to);
    chart.onZoomOut = () => handlers.current.onZoomOut();
    made.current = chart;
    return () => {
      chart.destroy();
      made.current = null;
    };
  }, [paneHeight]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a chart of another height is a new one and needs all of it
  useEffect(() => made.current?.setView(view), [view, paneHeight]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: as above
  useEffect(() => made.current?.setTraces(traces), [traces, paneHeight]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: canvases read their colours anew when the scheme changes
  useEffect(() => made.current?.restyle(), [scheme]);

  return <div ref={host} className="chart" role="img" aria-label={label} />;
}
