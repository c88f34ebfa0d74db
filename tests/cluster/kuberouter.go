package main

// kubeRouter enforces policies beside a network that does not: a REJECT for each pod that a policy selects, in iptables'
// rules and ipset's sets. Its router and its services are left out. k3s uses the same code.
var kubeRouter = plugin{
	name:     "kube-router",
	programs: []string{"kube-router"},
	needs:    []need{{"ipset", "ipset"}},
	add:      addKubeRouter,
}

func addKubeRouter(node *Machine, ca *authority, _ int, _ plan) error {
	if _, err := ca.kubeconfig(node.Name+"-kube-router", "kube-router", "system:masters"); err != nil {
		return err
	}
	node.Services = append(node.Services, Service{Name: "kube-router", Argv: []string{
		built("kube-router"),
		"--kubeconfig=" + ca.file(node.Name+"-kube-router.kubeconfig"),
		"--run-firewall=true",
		"--run-router=false",
		"--run-service-proxy=false",
		"--hostname-override=" + node.Name,
		"--service-cluster-ip-range=" + serviceNetwork,
		"--health-port=0",
	}, After: apiReady})
	return nil
}
