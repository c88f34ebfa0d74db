package main

import (
	"slices"
	"strings"
	"testing"
)

func TestPlansAreReadAsTheyAreWritten(t *testing.T) {
	for name, network := range networks {
		for engine := range engines {
			for _, mode := range proxyModes {
				if network.enforces && engine != nobody.name || network.replacesProxy && mode != mixed {
					continue
				}
				words := []string{"3", name, engine, mode}
				p, err := readPlan(words)
				must(t, err)
				if p.nodes != 3 || !slices.Equal(p.arguments(), words) {
					t.Errorf("%v is read from %v", p, words)
				}
			}
		}
	}
}

func TestAClusterThatCannotBeIsRefused(t *testing.T) {
	for _, wrong := range []struct{ words, says string }{
		{"0 bridge none mixed", "1 to 9"},
		{"10 bridge none mixed", "1 to 9"},
		{"2 weave none mixed", "bridge, calico, cilium, cilium-kpr, flannel"},
		{"2 bridge everybody mixed", "kube-network-policies, kube-router, none"},
		{"2 calico kube-router mixed", "calico enforces policies itself"},
		{"2 cilium kube-network-policies mixed", "cilium enforces policies itself"},
		{"2 cilium-kpr kube-router mixed", "cilium-kpr enforces policies itself"},
		{"2 bridge none ipvs", "mixed, iptables, nftables"},
		{"2 cilium-kpr none nftables", "has no kube-proxy"},
		{"2 bridge none", "a mode of kube-proxy"},
	} {
		if _, err := readPlan(strings.Fields(wrong.words)); err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("%s: %v", wrong.words, err)
		}
	}
}

func TestNodesHaveTheKindOfRulesThatIsAskedFor(t *testing.T) {
	for proxy, modes := range map[string][]string{
		mixed:      {"iptables", "nftables", "iptables"},
		"iptables": {"iptables", "iptables", "iptables"},
		"nftables": {"nftables", "nftables", "nftables"},
	} {
		p := plan{3, "bridge", "none", proxy}
		for i, mode := range modes {
			if p.proxyMode(i+1) != mode {
				t.Errorf("with --kube-proxy %s n%d has %s", proxy, i+1, p.proxyMode(i+1))
			}
		}
	}
	if !strings.HasPrefix(masquerade(2, "iptables"), "iptables ") || !strings.HasPrefix(masquerade(1, "nftables"), "nft ") {
		t.Error("pods are not hidden with the node's own kind of rules")
	}
}

// Pods of a tunnel are unknown between the nodes.
func TestTheRouterKnowsPodsOfTheBridgeAlone(t *testing.T) {
	for network, knows := range map[string]bool{"bridge": true, "flannel": false, "calico": false, "cilium": false, "cilium-kpr": false} {
		setup := strings.Join(routerMachine(plan{2, network, "none", mixed}, "coredns", "lab").Setup, "\n")
		if strings.Contains(setup, podRange(1)) != knows {
			t.Errorf("under %s the router has\n%s", network, setup)
		}
	}
}

func TestServicesTakeTheSignalsTheyAreSent(t *testing.T) {
	s := newServices(Machine{Name: "n1", Services: []Service{{Name: "flanneld"}}}, nil)
	for request, says := range map[string]string{
		"kill flanneld STOP": "does not run",
		"kill flanneld NAP":  "no signal NAP",
		"kill weave STOP":    "no service weave",
	} {
		if _, err := s.answer(request); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", request, err)
		}
	}
}
