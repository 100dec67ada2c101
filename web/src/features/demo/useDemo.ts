import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { api, messageOf, take } from '@/api/client';
import { queries } from '@/api/queries';
import { toast } from '@/ui/toasts';
import { texts } from './texts';

export function useDemo() {
  const client = useQueryClient();
  const demo = useQuery({
    ...queries.demo(),
    // While it starts, its devices come one by one.
    refetchInterval: ({ state }) => (state.data?.installed && !state.data.running ? 1000 : false),
  });
  const refresh = () =>
    Promise.all(
      ['demo', 'devices', 'system', 'profiles'].map((key) => client.invalidateQueries({ queryKey: [key] })),
    );
  const start = useMutation({
    mutationFn: () => take(api.POST('/api/v1/demo')),
    onSuccess: async (data) => {
      client.setQueryData(queries.demo().queryKey, data);
      await refresh();
      setTimeout(refresh, 2500);
    },
    onError: (error) => toast(messageOf(error), { tone: 'bad' }),
  });
  const remove = useMutation({
    mutationFn: () => take(api.DELETE('/api/v1/demo')),
    onSuccess: async () => {
      toast(texts.removed, { action: { label: texts.again, perform: () => start.mutate() }, life: 10_000 });
      await refresh();
    },
    onError: (error) => toast(messageOf(error), { tone: 'bad' }),
  });
  return { demo: demo.data, start, remove };
}
