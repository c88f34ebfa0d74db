package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// Machine says what one of the cluster's machines is: the supervisor writes it to the standard input of its init.
type Machine struct {
	Name string
	// Shell commands, in order, before any service; the network's links are there.
	Setup []string
	// What runs on it, in this order.
	Services []Service
}

// machineNamespaces are what each machine has of its own (beside its cgroup namespace, see `enclose`).
const machineNamespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// enclose is the first step of a machine's init: into cgroups of its own, and these become the root of what it sees.
// A namespace is a thread's, so the program is run anew from the thread that left the old one.
func enclose(arguments []string) error {
	runtime.LockOSThread()
	name := arguments[0]
	if err := enterCgroups(prefix, name); err != nil {
		return err
	}
	if err := syscall.Unshare(syscall.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("a cgroup namespace for %s: %w", name, err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, []string{os.Args[0], "machine", name}, os.Environ())
}

// machine is a machine's init: PID 1 of its namespace, so that its end is the end of all that runs there.
func machine(arguments []string) error {
	name := arguments[0]
	if err := mountMachine(name); err != nil {
		return fmt.Errorf("the file systems of %s: %w", name, err)
	}
	if err := leaveCgroupRoot(); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(name)); err != nil {
		return err
	}
	var spec Machine
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("reading what %s is to be: %w", name, err)
	}
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	os.Setenv("HOME", "/root")
	os.Unsetenv("KUBECONFIG")
	children := newChildren()
	for _, command := range spec.Setup {
		if err := children.run("sh", "-ec", command); err != nil {
			return fmt.Errorf("setting up %s: %w", name, err)
		}
	}
	services := newServices(spec, children)
	services.startAll()
	// The terminal's signals are the supervisor's.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return serve(socketOf(name), services.answer)
}
