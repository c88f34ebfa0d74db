package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// supervisor is the init of the PID namespace around all machines: with it, whatever ends it, all of them end.
const supervisor = "supervisor"

// cluster is what the supervisor holds.
type cluster struct {
	plan     plan
	children *children
	mutex    sync.Mutex
	machines []*enclosed
	// Ends of machines that nobody asked for.
	lost []string
	down bool
}

// enclosed is a machine's init, as the supervisor started it.
type enclosed struct {
	name string
	pid  int
	spec *os.File
	done <-chan syscall.WaitStatus
	over chan struct{}
}

// supervise runs the cluster until it is asked to end it, or until `up`, at the other end of its standard input, is
// gone before it said that the cluster may stay.
func supervise(arguments []string) error {
	p, err := readPlan(arguments)
	if err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	c := &cluster{plan: p, children: newChildren()}
	go func() {
		var word [1]byte
		if n, _ := os.Stdin.Read(word[:]); n == 0 {
			c.end()
			os.Exit(1)
		}
	}()
	go func() {
		if err := c.build(); err != nil {
			c.mutex.Lock()
			c.lost = append(c.lost, err.Error())
			c.mutex.Unlock()
		}
	}()
	return serve(socketOf(supervisor), c.answer)
}

func (c *cluster) answer(request string) (string, error) {
	switch request {
	case "down":
		c.end()
		// The answer is this program's end.
		os.Exit(0)
	case "status":
		c.mutex.Lock()
		defer c.mutex.Unlock()
		answer, err := json.Marshal(c.lost)
		return string(answer), err
	case "network":
		return c.plan.network + " " + c.plan.policies, nil
	case "machines":
		c.mutex.Lock()
		defer c.mutex.Unlock()
		names := []string{}
		for _, machine := range c.machines {
			names = append(names, machine.name)
		}
		answer, err := json.Marshal(names)
		return string(answer), err
	}
	return "", fmt.Errorf("no such request: %s", request)
}

// build starts every machine, joins them, and tells each what it is.
func (c *cluster) build() error {
	names := []string{router, controlPlane}
	for n := 1; n <= c.plan.nodes; n++ {
		names = append(names, nodeName(n))
	}
	machines := map[string]*enclosed{}
	for _, name := range names {
		started, err := c.enclose(name)
		if err != nil {
			return fmt.Errorf("starting %s: %w", name, err)
		}
		machines[name] = started
	}
	if err := c.join(machines); err != nil {
		return err
	}
	specs, err := describe(c.plan)
	if err != nil {
		return err
	}
	for _, spec := range specs {
		one := machines[spec.Name]
		if err := json.NewEncoder(one.spec).Encode(spec); err != nil {
			return fmt.Errorf("telling %s what it is: %w", spec.Name, err)
		}
		one.spec.Close()
	}
	return nil
}

// describe writes all keys and configuration, and says what each machine is.
func describe(p plan) ([]Machine, error) {
	ca, err := newAuthority(inRun("pki"))
	if err != nil {
		return nil, err
	}
	if _, err := ca.kubeconfig("admin", "cluster-admin", "system:masters"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(inRun(router, "Corefile"), []byte(outsideCorefile), 0o644); err != nil {
		return nil, err
	}
	control, err := controlPlaneMachine(ca)
	if err != nil {
		return nil, err
	}
	specs := []Machine{routerMachine(p, filepath.Join(home(), "coredns"), filepath.Join(home(), "lab")), control}
	for n := 1; n <= p.nodes; n++ {
		node, err := nodeMachine(ca, n, p)
		if err != nil {
			return nil, err
		}
		specs = append(specs, node)
	}
	return specs, nil
}

// enclose starts the init of a machine in its namespaces.
func (c *cluster) enclose(name string) (*enclosed, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(inRun(name), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logOf(name, "init"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.down {
		return nil, fmt.Errorf("the cluster is going down")
	}
	pid, done, err := c.children.startAs(self, []string{prefix + ": " + name, "enclose", name}, &syscall.ProcAttr{
		Dir:   "/",
		Files: []uintptr{read.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Cloneflags: machineNamespaces, Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	machine := &enclosed{name: name, pid: pid, spec: write, done: done, over: make(chan struct{})}
	c.machines = append(c.machines, machine)
	go c.watch(machine)
	return machine, nil
}

func (c *cluster) watch(machine *enclosed) {
	<-machine.done
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.down {
		c.lost = append(c.lost, fmt.Sprintf("%s ended: %s", machine.name, lastLines(logOf(machine.name, "init"), 3)))
	}
	close(machine.over)
}

// join lays a cable from the router to each machine, and one to the host.
func (c *cluster) join(machines map[string]*enclosed) error {
	routerPid := strconv.Itoa(machines[router].pid)
	for _, l := range links(c.plan.nodes) {
		err := c.children.run("ip", "link", "add", l.machine, "netns", routerPid, "type", "veth",
			"peer", "name", "eth0", "netns", strconv.Itoa(machines[l.machine].pid))
		if err != nil {
			return err
		}
	}
	for _, command := range [][]string{
		{"link", "add", hostLink, "type", "veth", "peer", "name", "host", "netns", routerPid},
		{"address", "add", hostAddr + "/24", "dev", hostLink},
		{"link", "set", hostLink, "up"},
	} {
		if err := c.children.run(append([]string{"ip"}, command...)...); err != nil {
			return err
		}
	}
	return nil
}

// end ends every machine, and removes what they leave outside of their namespaces.
func (c *cluster) end() {
	c.mutex.Lock()
	if c.down {
		c.mutex.Unlock()
		select {} // whoever asked first ends the program
	}
	c.down = true
	machines := c.machines
	c.mutex.Unlock()
	for _, machine := range machines {
		_ = syscall.Kill(machine.pid, syscall.SIGKILL)
	}
	for _, machine := range machines {
		<-machine.over
	}
	if err := sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	_ = os.Remove(lockFile)
}
