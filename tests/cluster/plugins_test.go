package main

import (
	"slices"
	"strings"
	"testing"
)

func TestPlansAreReadAsTheyAreWritten(t *testing.T) {
	for network := range networks {
		for engine := range engines {
			p, err := readPlan([]string{"3", network, engine})
			must(t, err)
			if p.nodes != 3 || !slices.Equal(p.arguments(), []string{"3", network, engine}) {
				t.Errorf("%v is read from 3 %s %s", p, network, engine)
			}
		}
	}
}

func TestAClusterThatCannotBeIsRefused(t *testing.T) {
	for _, wrong := range []struct{ words, says string }{
		{"0 bridge none", "1 to 9"},
		{"10 bridge none", "1 to 9"},
		{"2 weave none", "bridge, calico, cilium, cilium-kpr, flannel"},
		{"2 bridge everybody", "kube-network-policies, kube-router, none"},
		{"2 bridge", "a policy engine"},
	} {
		if _, err := readPlan(strings.Fields(wrong.words)); err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("%s: %v", wrong.words, err)
		}
	}
}

// Pods of a tunnel are unknown between the nodes.
func TestTheRouterKnowsPodsOfTheBridgeAlone(t *testing.T) {
	for network, knows := range map[string]bool{"bridge": true, "flannel": false, "calico": false, "cilium": false, "cilium-kpr": false} {
		setup := strings.Join(routerMachine(plan{2, network, "none"}, "coredns", "lab").Setup, "\n")
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
