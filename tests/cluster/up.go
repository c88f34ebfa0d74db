package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// How long a cluster may take to be ready: many times what it takes on an idle machine.
const patience = 3 * time.Minute

// up brings a cluster up. Until it is ready it is tied to this process: if this ends, however it ends, the cluster goes.
func up(arguments []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	nodes := flags.String("nodes", "2", "")
	network := flags.String("cni", bridge.name, "")
	policies := flags.String("policies", nobody.name, "")
	proxy := flags.String("kube-proxy", mixed, "")
	if err := flags.Parse(arguments); err != nil || flags.NArg() > 0 {
		return usageError{"up takes --nodes N, --cni NETWORK, --policies ENGINE and --kube-proxy MODE"}
	}
	p, err := readPlan([]string{*nodes, *network, *policies, *proxy})
	if err != nil {
		return err
	}
	if err := preflight(p); err != nil {
		return err
	}
	lock, err := awaitLock()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := sweep(); err != nil {
		lock.release()
		return fmt.Errorf("what an earlier cluster left: %w", err)
	}
	if err := foreignAddresses(); err != nil {
		lock.release()
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	leash, ended, err := startSupervisor(p, lock)
	if err != nil {
		lock.release()
		return err
	}
	// From here on it is held by the supervisor alone.
	lock.file.Close()
	say := func(what string) { fmt.Printf("cluster: %4.1f s  %s\n", time.Since(begun).Seconds(), what) }
	failed := make(chan error, 1)
	go func() { failed <- settle(p, say) }()
	select {
	case err = <-failed:
	case <-ended:
		err = errors.New("its supervisor was ended")
	case s := <-interrupted:
		err = fmt.Errorf("interrupted (%s)", s)
	}
	if err != nil {
		return errors.Join(err, takeDown())
	}
	if _, err := leash.Write([]byte{'k'}); err != nil {
		return fmt.Errorf("the supervisor is gone: %w", err)
	}
	say("ready: " + p.String())
	fmt.Printf("cluster: export KUBECONFIG=%s PATH=%s/bin:$PATH\n", kubeconfig(), home())
	return nil
}

// startSupervisor starts the cluster: the file holds it until a byte is written to it, the channel tells of its end.
func startSupervisor(p plan, lock *lock) (*os.File, <-chan struct{}, error) {
	if err := os.MkdirAll(runFolder, 0o755); err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer read.Close()
	log, err := os.OpenFile(inRun("supervisor.log"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	pid, err := syscall.ForkExec(self, append([]string{prefix + ": " + supervisor, "supervise"}, p.arguments()...), &syscall.ProcAttr{
		Dir: "/",
		Env: os.Environ(),
		// The lock is the supervisor's as long as it lives.
		Files: []uintptr{read.Fd(), log.Fd(), log.Fd(), lock.file.Fd()},
		Sys:   &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Setsid: true},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("starting the supervisor: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		close(ended)
	}()
	return write, ended, nil
}

// need is a program, and the package of the distribution that has it.
type need struct{ path, pkg string }

// preflight looks for all that the cluster needs of this machine.
func preflight(p plan) error {
	if os.Geteuid() != 0 {
		return errors.New("root is needed for namespaces and networks (sudo)")
	}
	var missing []string
	needs := []need{
		{"containerd", "containerd"}, {"ctr", "containerd"}, {"containerd-shim-runc-v2", "containerd"}, {"runc", "runc"},
		{"/usr/lib/cni/bridge", "containernetworking-plugins"}, {"iptables", "iptables"}, {"nft", "nftables"},
		{"conntrack", "conntrack"}, {"ip", "iproute2"}, {"sysctl", "procps"}, {"nsenter", "util-linux"}, {"busybox", "busybox-static"},
	}
	built := []string{"kubernetes", "coredns", "lab", "images/pause.tar"}
	for _, plugin := range p.plugins() {
		needs = append(needs, plugin.needs...)
		for _, program := range plugin.programs {
			built = append(built, "plugins/"+program)
		}
		if plugin.kinds != "" {
			built = append(built, "plugins/"+plugin.kinds)
		}
	}
	for _, need := range needs {
		if !present(need.path) && !strings.Contains(strings.Join(missing, " ")+" ", need.pkg+" ") {
			missing = append(missing, need.pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing packages: %s (`make cluster %s` installs them on Debian)", strings.Join(missing, " "), p.asMakeSaysIt())
	}
	if all, err := hierarchies(); err != nil || len(all) == 0 {
		return errors.New("no cgroups are mounted below /sys/fs/cgroup")
	}
	for _, part := range built {
		if _, err := os.Stat(home() + "/" + part); err != nil {
			return fmt.Errorf("%s/%s is not built (`make cluster %s` builds it)", home(), part, p.asMakeSaysIt())
		}
	}
	return nil
}
