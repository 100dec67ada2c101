import { useComputedColorScheme } from '@mantine/core';
import { useMemo } from 'react';
import type { Device } from '@/api/client';
import { seriesColor } from '@/charts/palette';
import { Sparkline } from '@/charts/Sparkline';
import { readable } from '@/lib/numbers';
import { gapOf, type LiveSeries } from '@/live/LiveStore';
import { useLive } from '@/live/live';
import { Age, LiveValue } from '@/ui/Live';
import classes from './LatestTiles.module.css';
import { texts } from './texts';

function Tile({
  series,
  type,
  color,
  on,
  onToggle,
}: {
  series: LiveSeries;
  type: string;
  color: string;
  on: boolean;
  onToggle: () => void;
}) {
  const limit = useMemo(() => () => Math.max(15_000, gapOf(series) * 2), [series]);
  const time = useMemo(() => () => series.time, [series]);
  const drawable = type !== 'string';
  const content = (
    <>
      <span className={classes.metric}>
        {drawable && <i style={on ? { background: color } : undefined} />}
        {readable(series.metric)}
      </span>
      <LiveValue source={series} staleAfter={limit} size="lg" />
      <span className={classes.foot}>
        <Age time={time} />
        {drawable && type !== 'bool' && (
          <Sparkline source={series} gap={gapOf as never} width={72} height={20} />
        )}
      </span>
    </>
  );
  return drawable ? (
    <button
      type="button"
      className={classes.tile}
      aria-pressed={on}
      title={texts.showMetric(series.metric)}
      onClick={onToggle}
    >
      {content}
    </button>
  ) : (
    <div className={classes.tile}>{content}</div>
  );
}

export function LatestTiles({
  device,
  shown,
  colorIndex,
  onToggle,
}: {
  device: Device;
  shown: string[];
  colorIndex: (metric: string) => number;
  onToggle: (metric: string) => void;
}) {
  const { store } = useLive();
  const dark = useComputedColorScheme() === 'dark';
  return (
    <section className={classes.root} aria-label={texts.latest}>
      {device.metrics.map((m) => (
        <Tile
          key={m.name}
          series={store.series(device.device, m.name)}
          type={m.type}
          color={seriesColor(colorIndex(m.name), dark)}
          on={shown.includes(m.name)}
          onToggle={() => onToggle(m.name)}
        />
      ))}
    </section>
  );
}
