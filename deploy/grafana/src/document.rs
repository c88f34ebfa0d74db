//! A whole dashboard: its rows, its variables, and the JSON that Grafana imports. Pure.

use super::panel::{PanelPlan, PanelShows};
use super::promql;
use serde_json::{Value, json};

/// A row of panels, with a heading.
#[derive(Debug)]
pub struct BoardRow {
    /// Its heading.
    pub title: &'static str,
    /// Its panels, two or three beside each other.
    pub panels: &'static [PanelPlan],
    /// How many beside each other.
    pub beside: usize,
}

/// What can be chosen on a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardScope {
    /// Nodes; all of a node together.
    All,
    /// Nodes, namespaces and pods; each place apart.
    Pods,
    /// Nodes; what is of the node itself and of no pod.
    Nodes,
}

/// A dashboard.
#[derive(Debug)]
pub struct Board {
    /// Its file, without `.json`.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What can be chosen.
    pub scope: BoardScope,
    /// Its rows.
    pub rows: &'static [BoardRow],
}

const WIDTH: usize = 24;
const HEIGHT: usize = 8;

impl BoardScope {
    /// The labels that are kept apart, and which samples are meant.
    const fn asks(self) -> (&'static str, &'static str) {
        match self {
            Self::All => ("", "{node=~\"$node\"}"),
            Self::Pods => (
                "node, namespace, pod, place",
                "{node=~\"$node\", namespace=~\"$namespace\", pod=~\"$pod\"}",
            ),
            Self::Nodes => ("node", "{node=~\"$node\", namespace=\"\", pod=\"\", place=\"\"}"),
        }
    }

    fn variables(self, has_lines: bool) -> Vec<Value> {
        let source = |name: &str, label: &str, kind: &str| json!({"name": name, "label": label, "type": "datasource", "query": kind, "refresh": 1});
        let told = promql::metric_of("Tcp.RtoMin").family;
        let choice = |name: &str, of: &str| {
            json!({
                "name": name, "label": name, "type": "query", "refresh": 2, "sort": 1, "multi": true, "includeAll": true,
                // What has no such label is meant by all, too.
                "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]},
                "datasource": {"type": "prometheus", "uid": "${metrics}"},
                "query": {"qryType": 1, "query": format!("label_values({told}{of}, {name})"), "refId": name},
            })
        };
        let mut all = vec![source("metrics", "Prometheus", "prometheus")];
        if has_lines {
            all.push(source("logs", "Loki", "loki"));
        }
        all.push(choice("node", ""));
        if self == Self::Pods {
            all.push(choice("namespace", "{node=~\"$node\"}"));
            all.push(choice("pod", "{node=~\"$node\", namespace=~\"$namespace\"}"));
        }
        all
    }
}

impl Board {
    /// As Grafana imports it.
    pub fn json(&self) -> Value {
        let mut panels = Vec::new();
        let mut y = 0;
        for row in self.rows {
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
            }));
            y += 1;
            let width = WIDTH / row.beside;
            for (at, plan) in row.panels.iter().enumerate() {
                let place = (at % row.beside * width, y + at / row.beside * HEIGHT, width, HEIGHT);
                panels.push(plan.json(panels.len() + 1, place, self.scope.asks()));
            }
            y += row.panels.len().div_ceil(row.beside) * HEIGHT;
        }
        let mut plans = self.rows.iter().flat_map(|row| row.panels);
        let has_lines = plans.any(|plan| plan.shows == PanelShows::Lines);
        json!({
            "uid": format!("skoop-{}", self.name),
            "title": self.title,
            "description": self.about,
            "tags": ["kubectl-skoop"],
            "schemaVersion": 41,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-15m", "to": "now"},
            "timezone": "browser",
            "links": [{
                "asDropdown": false, "icon": "external link", "includeVars": true, "keepTime": true, "tags": ["kubectl-skoop"],
                "targetBlank": false, "title": "kubectl-skoop", "tooltip": "", "type": "dashboards", "url": "",
            }],
            "templating": {"list": self.scope.variables(has_lines)},
            "annotations": {"list": []},
            "panels": panels,
        })
    }
}
