// What a dashboard may be: Grafana's published types, with the words that a file has for their enumerations, and for each kind
// of panel its own options.
import type { Dashboard as Published, DataQuery, Panel, RowPanel } from '@grafana/schema';
import type { Options as BarGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as Logs } from '@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen';
import type { Options as TimeSeries } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type InFile<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : { [K in keyof T]: InFile<T[K]> };

// What each source's own editor writes; they are published for no source that is used here.
type MetricsQuery = DataQuery & { expr: string; legendFormat: string; instant: boolean; range: boolean };
type LinesQuery = DataQuery & { expr: string };

type Shown<Kind, Options, Query> = Omit<Panel, 'type' | 'options' | 'targets'> & { type: Kind; options: Options; targets: Query[] };

export type Dashboard = InFile<
  Omit<Published, 'panels'> & {
    panels: (RowPanel | Shown<'timeseries', TimeSeries, MetricsQuery> | Shown<'bargauge', BarGauge, MetricsQuery> | Shown<'logs', Logs, LinesQuery>)[];
  }
>;
