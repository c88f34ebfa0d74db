package main

import "fmt"

// flannel is a VXLAN tunnel between the nodes, and a bridge on each of them: device flannel.1, VNI 1, UDP port 8472. Its
// rules on a node are of the kind that the node's kube-proxy writes. It enforces no policies.
var flannel = plugin{name: "flannel", programs: []string{"flanneld", "flannel-cni"}, add: addFlannel}

const flannelNetwork = `{"Network": "` + podNetwork + `", "EnableNFTables": %t, "Backend": {"Type": "vxlan"}}
`

// flannelConfig hands a pod to the plugins below it, with the subnet and the MTU that flanneld wrote down.
const flannelConfig = `{
  "cniVersion": "0.3.1",
  "name": "cbr0",
  "plugins": [
    {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

func addFlannel(node *Machine, ca *authority, n int, p plan) error {
	if _, err := ca.kubeconfig(node.Name+"-flannel", "flannel", "system:masters"); err != nil {
		return err
	}
	network, err := node.write("net-conf.json", fmt.Sprintf(flannelNetwork, p.proxyMode(n) == "nftables"))
	if err != nil {
		return err
	}
	config, err := node.write("10-flannel.conflist", flannelConfig)
	if err != nil {
		return err
	}
	node.Setup = append(node.Setup, "ln -s "+built("flannel-cni")+" "+cniPrograms+"/flannel")
	node.Services = append(node.Services,
		Service{Name: "flanneld", Argv: []string{
			"env", "NODE_NAME=" + node.Name, built("flanneld"),
			"--kubeconfig-file=" + ca.file(node.Name+"-flannel.kubeconfig"),
			"--net-config-path=" + network,
			"--iface=eth0",
		}, After: apiReady},
		// With it the node becomes Ready: not before pods can have a network.
		Service{Name: "flannel-config", Argv: []string{"cp", config, "/etc/cni/net.d/"}, After: "/run/flannel/subnet.env", Once: true},
	)
	return nil
}
