// Command cluster brings up a real Kubernetes of several nodes on this machine, for trying and testing kubectl-skoop:
// the project's own components, real kubelets, Debian's containerd, and each node in namespaces of its own.
package main

import (
	"errors"
	"fmt"
	"os"
)

// command is one thing that can be asked of this program.
type command struct {
	name, arguments, says string
	run                   func(arguments []string) error
}

// commands are those that people use, in the order in which help lists them.
func commands() []command {
	return []command{
		{"up", "[--nodes N] [--cni C] [--policies P] [--kube-proxy M]", "bring the cluster up, and say when it is ready", up},
		{"down", "", "take everything down: processes, namespaces, cgroups, files", down},
		{"status", "", "what runs on which machine", status},
		{"network", "", "which network it has, and who enforces policies", showNetwork},
		{"kubectl", "ARGUMENT...", "kubectl on this cluster, with the plugin on its PATH", kubectl},
		{"node", "NODE [--] COMMAND...", "run a command in a node's namespaces (n1 or 1; also control-plane, router)", node},
		{"load", "ARCHIVE...", "load image archives (OCI or docker) on every node", load},
		{"stop", "NODE SERVICE", "end a service of a node (kubelet, kube-proxy, containerd, flanneld; kube-apiserver...)", stop},
		{"start", "NODE SERVICE", "start it again", start},
		{"restart", "NODE SERVICE", "both", restart},
		{"kill", "NODE SERVICE SIGNAL", "send it a signal: STOP hangs it until CONT", sendSignal},
		{"logs", "NODE SERVICE", "what a service wrote", logs},
		{"images", "FOLDER PAUSE LAB COREDNS", "write the archives of the cluster's own images", images},
		{"image", "ARCHIVE NAME PROGRAM", "write the archive of an image of one static program", image},
	}
}

// inner are those by which the program starts itself: the parts of a running cluster.
func inner() []command {
	return []command{
		{"supervise", "", "", supervise},
		{"enclose", "", "", enclose},
		{"machine", "", "", machine},
	}
}

// usageError is a wrong call of this program.
type usageError struct{ says string }

func (e usageError) Error() string { return e.says }

func main() {
	if len(os.Args) < 2 || os.Args[1] == "help" || os.Args[1] == "--help" || os.Args[1] == "-h" {
		help()
		return
	}
	err := dispatch(os.Args[1], os.Args[2:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	if errors.As(err, new(usageError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

func dispatch(name string, arguments []string) error {
	for _, command := range append(commands(), inner()...) {
		if command.name == name {
			return command.run(arguments)
		}
	}
	return usageError{fmt.Sprintf("no command %q; `cluster help` lists them", name)}
}

func help() {
	fmt.Println("A real Kubernetes on this machine.")
	fmt.Println()
	for _, command := range commands() {
		fmt.Printf("  cluster %-56s %s\n", command.name+" "+command.arguments, command.says)
	}
	fmt.Println()
	fmt.Println("KUBECONFIG is", kubeconfig())
}
