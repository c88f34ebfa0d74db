// Command flanneld is flannel's agent of a node, with the backends that need no more than this kernel. It is a program
// of our own over flannel's packages because flannel's command also needs a cloud's client that no proxy has.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
)

const (
	// What the network plugin reads before it gives a pod its interface.
	subnetFile = "/run/flannel/subnet.env"
	// Where flannel keeps what it knows of a node, on the node's own object.
	annotations   = "flannel.alpha.coreos.com"
	resyncSeconds = 5
)

func main() {
	kubeconfig := flag.String("kubeconfig-file", "", "how the API server is reached")
	network := flag.String("net-config-path", "", "flannel's net-conf.json")
	uplink := flag.String("iface", "eth0", "the interface between the nodes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *network, *uplink); err != nil {
		fmt.Fprintln(os.Stderr, "flanneld:", err)
		os.Exit(1)
	}
}

// run joins the node to flannel's network, and keeps it joined until the context ends.
func run(ctx context.Context, kubeconfig, network, uplink string) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	subnets, err := kube.NewSubnetManager(ctx, "", kubeconfig, annotations, network, true)
	if err != nil {
		return fmt.Errorf("asking the API server for subnets: %w", err)
	}
	config, err := subnets.GetNetworkConfig(ctx)
	if err != nil {
		return fmt.Errorf("reading %s: %w", network, err)
	}
	families, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return err
	}
	between, err := ipmatch.LookupExtIface(uplink, "", "", families, ipmatch.PublicIPOpts{})
	if err != nil {
		return fmt.Errorf("looking at %s: %w", uplink, err)
	}
	kind, err := backend.NewManager(ctx, subnets, between).GetBackend(config.BackendType)
	if err != nil {
		return err
	}
	joined, err := kind.RegisterNetwork(ctx, &running, config)
	if err != nil {
		return fmt.Errorf("joining the network: %w", err)
	}
	if err := writeRules(ctx, config, joined); err != nil {
		return fmt.Errorf("writing rules: %w", err)
	}
	lease := joined.Lease()
	if err := subnets.HandleSubnetFile(subnetFile, config, true, lease.Subnet, lease.IPv6Subnet, joined.MTU()); err != nil {
		return fmt.Errorf("writing %s: %w", subnetFile, err)
	}
	running.Go(func() { joined.Run(ctx) })
	if err := subnets.CompleteLease(ctx, lease, &running); err != nil {
		return fmt.Errorf("telling the API server that the network is there: %w", err)
	}
	running.Wait()
	return nil
}

// writeRules lets pods be forwarded, and hides them behind their node when they talk to anything but pods. Flannel writes
// these rules again when they are gone.
func writeRules(ctx context.Context, config *subnet.Config, joined backend.Network) error {
	var rules trafficmngr.TrafficManager = &iptables.IPTablesManager{}
	if config.EnableNFTables {
		rules = &nftables.NFTablesManager{}
	}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	err := rules.SetupAndEnsureMasqRules(ctx, config.Network, ip.IP4Net{}, ip.IP4Net{},
		config.IPv6Network, ip.IP6Net{}, ip.IP6Net{}, joined.Lease(), resyncSeconds, false)
	rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, resyncSeconds)
	return err
}
