import { ActionIcon } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { Icon } from '@/ui/icons';
import { loadLand } from './land';
import classes from './Map.module.css';
import { MapView, type Marker } from './MapView';
import type { Point } from './mercator';
import { texts } from './texts';

const NONE: Point[] = [];

/** A map that can be moved and zoomed, with markers that move by themselves. */
export function MapCanvas({
  markers,
  selected = null,
  track = NONE,
  onPick,
  closest = 256 * 2 ** 7,
}: {
  markers: Marker[];
  selected?: string | null;
  track?: Point[];
  onPick?: (device: string) => void;
  /** The largest scale (pixels around the world) that `fit` chooses. */
  closest?: number;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const view = useRef<MapView | null>(null);
  const [landFailed, setLandFailed] = useState(false);
  const pick = useRef(onPick);
  pick.current = onPick;

  useEffect(() => {
    const made = new MapView(canvas.current!, tip.current!, closest);
    made.onPick = (device) => pick.current?.(device);
    view.current = made;
    loadLand().then(
      (land) => made.setLand(land),
      () => setLandFailed(true),
    );
    return () => made.close();
  }, [closest]);
  useEffect(() => view.current?.setMarkers(markers), [markers]);
  useEffect(() => view.current?.select(selected, track), [selected, track]);
  useEffect(() => {
    if (selected) view.current?.show(selected);
  }, [selected]);

  return (
    <div className={classes.map}>
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: the keyboard moves it, as an application */}
      <canvas
        ref={canvas}
        className={classes.canvas}
        tabIndex={0}
        role="application"
        aria-label={texts.label}
      />
      <div ref={tip} className={classes.tip} hidden aria-hidden="true" />
      <div className={classes.buttons}>
        <ActionIcon variant="default" aria-label={texts.zoomIn} onClick={() => view.current?.zoom(1.6)}>
          <Icon name="plus" size={15} />
        </ActionIcon>
        <ActionIcon variant="default" aria-label={texts.zoomOut} onClick={() => view.current?.zoom(1 / 1.6)}>
          <Icon name="minus" size={15} />
        </ActionIcon>
        <ActionIcon variant="default" aria-label={texts.fit} onClick={() => view.current?.fit()}>
          <Icon name="fit" size={15} />
        </ActionIcon>
      </div>
      {landFailed && <p className={classes.failed}>{texts.landFailed}</p>}
    </div>
  );
}
