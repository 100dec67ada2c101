import { Button } from '@mantine/core';
import { useState } from 'react';
import { Notice } from '@/ui/Notice';
import classes from './PasswordBanner.module.css';
import { texts } from './texts';

export function PasswordBanner({ onSet }: { onSet: () => void }) {
  const [hidden, hide] = useState(false);
  if (hidden) return null;
  return (
    <div className={classes.root}>
      <Notice
        tone="accent"
        icon="key"
        actions={
          <>
            <Button size="compact-xs" variant="subtle" onClick={() => hide(true)}>
              {texts.later}
            </Button>
            <Button size="compact-xs" onClick={onSet}>
              {texts.bannerAction}
            </Button>
          </>
        }
      >
        {texts.banner}
      </Notice>
    </div>
  );
}
