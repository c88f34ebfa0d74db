package main

import "fmt"

// calico is a VXLAN tunnel between the nodes and a route to each pod on its node, without a bridge: device vxlan.calico, VNI
// 4096, UDP port 4789. Addresses are from blocks of the pool, not from the nodes' pod ranges. Felix enforces policies in
// iptables' rules and ipset's sets.
var calico = plugin{
	name:     "calico",
	programs: []string{"calico-node", "calico"},
	needs:    []need{{"ipset", "ipset"}},
	enforces: true,
	kinds:    "calico-kinds.yaml",
	add:      addCalico,
}

// calicoConfig hands a pod to Calico's plugin, which asks Calico's own for an address.
const calicoConfig = `{
  "cniVersion": "0.3.1",
  "name": "k8s-pod-network",
  "plugins": [
    {
      "type": "calico",
      "datastore_type": "kubernetes",
      "nodename": %[1]q,
      "mtu": 1450,
      "ipam": {"type": "calico-ipam"},
      "policy": {"type": "k8s"},
      "kubernetes": {"kubeconfig": %[2]q},
      "log_level": "warning"
    },
    {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}
  ]
}
`

// calicoHealth is where felix says that it has programmed the node.
const calicoHealth = "http://127.0.0.1:9099/readiness"

// runCalico registers the node and its tunnel's address, and becomes felix. The kinds of Calico's objects may come later.
const runCalico = `until "$1" --kubeconfig "$KUBECONFIG" get felixconfigurations.crd.projectcalico.org,ippools.crd.projectcalico.org >/dev/null 2>&1; do sleep 0.2; done
"$2" -startup
"$2" -allocate-tunnel-addrs -allocate-tunnel-addrs-run-once
exec "$2" -felix`

func addCalico(node *Machine, ca *authority, _ int, _ plan) error {
	if _, err := ca.kubeconfig(node.Name+"-calico", "calico", "system:masters"); err != nil {
		return err
	}
	kubeconfig := ca.file(node.Name + "-calico.kubeconfig")
	config, err := node.write("10-calico.conflist", fmt.Sprintf(calicoConfig, node.Name, kubeconfig))
	if err != nil {
		return err
	}
	node.Setup = append(node.Setup,
		"mkdir -p /var/lib/calico /var/run/calico /var/log/calico/cni",
		"for name in calico calico-ipam; do ln -s "+built("calico")+" "+cniPrograms+"/$name; done",
	)
	environment := []string{
		"DATASTORE_TYPE=kubernetes",
		"KUBECONFIG=" + kubeconfig,
		"NODENAME=" + node.Name,
		"CLUSTER_TYPE=k8s",
		"IP=autodetect",
		"IP6=none",
		"IP_AUTODETECTION_METHOD=interface=eth0",
		"CALICO_NETWORKING_BACKEND=vxlan",
		"CALICO_IPV4POOL_CIDR=" + podNetwork,
		"CALICO_IPV4POOL_VXLAN=Always",
		"CALICO_IPV4POOL_IPIP=Never",
		"FELIX_FELIXHOSTNAME=" + node.Name,
		"FELIX_DEFAULTENDPOINTTOHOSTACTION=ACCEPT",
		"FELIX_HEALTHENABLED=true",
		"FELIX_HEALTHHOST=127.0.0.1",
		"FELIX_IPTABLESBACKEND=NFT",
		"FELIX_IPV6SUPPORT=false",
		"FELIX_IPINIPENABLED=false",
		"FELIX_VXLANMTU=1450",
		"FELIX_LOGFILEPATH=none",
		"FELIX_LOGSEVERITYSYS=none",
		// What felix does in eBPF is cgo's; without it each change of a policy would wait for it in vain.
		"FELIX_XDPENABLED=false",
		"FELIX_DebugSkipCTLBCleanup=true",
	}
	node.Services = append(node.Services,
		Service{Name: "calico-node", Argv: append(append([]string{"env"}, environment...),
			"sh", "-ec", runCalico, "calico-node", home()+"/bin/kubectl", built("calico-node")), After: apiReady},
		// With it the node becomes Ready.
		Service{Name: "calico-config", Argv: []string{"cp", config, "/etc/cni/net.d/"}, After: calicoHealth, Once: true},
	)
	return nil
}
