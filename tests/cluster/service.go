package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Service is one program of a machine: kept running until it is stopped, unless it is run Once, to success.
type Service struct {
	Name string
	Argv []string
	// A path that must exist, or an address that must answer 200 (https://...), before it is started.
	After string
	Once  bool
	// It is stopped with SIGKILL: asked politely it goes on answering for a minute.
	Abrupt bool
}

// services are those of one machine, and what is wanted of each.
type services struct {
	mutex    sync.Mutex
	children *children
	machine  string
	list     []*running
}

// running is the present state of a service.
type running struct {
	Service
	wanted bool
	pid    int
	starts int
	ended  string
	change chan struct{} // closed when pid changes
}

func newServices(spec Machine, children *children) *services {
	s := &services{children: children, machine: spec.Name}
	for _, service := range spec.Services {
		s.list = append(s.list, &running{Service: service, wanted: true, change: make(chan struct{})})
	}
	return s
}

func (s *services) startAll() {
	for _, service := range s.list {
		go s.keep(service)
	}
}

// keep runs a service whenever it is wanted.
func (s *services) keep(r *running) {
	waitFor(r.After)
	for {
		s.mutex.Lock()
		wanted, change := r.wanted, r.change
		s.mutex.Unlock()
		if !wanted {
			<-change
			continue
		}
		done, err := s.launch(r)
		ended := ""
		if err != nil {
			ended = err.Error()
		} else {
			status := <-done
			ended = fmt.Sprintf("exit code %d", status.ExitStatus())
			if status.Signaled() {
				ended = "signal " + status.Signal().String()
			}
			if r.Once && status.ExitStatus() == 0 {
				ended = "done"
			}
		}
		s.mutex.Lock()
		r.pid, r.ended = 0, ended
		if ended == "done" {
			r.wanted = false
		}
		wanted = r.wanted
		s.changed(r)
		s.mutex.Unlock()
		if wanted {
			time.Sleep(500 * time.Millisecond)
		}
	}
}

// changed tells those that wait for a service; the mutex is held.
func (s *services) changed(r *running) {
	close(r.change)
	r.change = make(chan struct{})
}

func (s *services) launch(r *running) (<-chan syscall.WaitStatus, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	log, err := os.OpenFile(logOf(s.machine, r.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	pid, done, err := s.children.start(r.Argv, &syscall.ProcAttr{
		Dir:   "/",
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	r.pid, r.starts = pid, r.starts+1
	s.changed(r)
	return done, nil
}

// answer serves a request of the control socket: `status`, `stop NAME`, `start NAME`, `kill NAME SIGNAL`.
func (s *services) answer(request string) (string, error) {
	words := strings.Fields(request)
	switch {
	case len(words) == 1 && words[0] == "status":
		return s.status(), nil
	case len(words) == 2 && words[0] == "stop":
		return "", s.set(words[1], false)
	case len(words) == 2 && words[0] == "start":
		return "", s.set(words[1], true)
	case len(words) == 3 && words[0] == "kill":
		return "", s.kill(words[1], words[2])
	}
	return "", fmt.Errorf("no such request: %s", request)
}

func (s *services) status() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	lines := make([]string, 0, len(s.list))
	for _, r := range s.list {
		line := r.Name + " "
		switch {
		case r.pid != 0 && hangs(r.pid):
			line += "hangs"
		case r.pid != 0 && r.starts > 1:
			line += fmt.Sprintf("running (started %d times; before: %s)", r.starts, r.ended)
		case r.pid != 0:
			line += "running"
		case r.wanted && r.starts == 0:
			line += "waiting for " + r.After
		case r.wanted:
			line += "starting again after " + r.ended
		case r.ended == "done":
			line += "done"
		default:
			line += "stopped"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// How long a service may take to end when asked, before it is killed.
const stopGrace = 5 * time.Second

// set starts or stops a service, and returns when it runs, or when it does not any more.
func (s *services) set(name string, wanted bool) error {
	r := s.find(name)
	if r == nil {
		return fmt.Errorf("no service %s on %s (it has %s)", name, s.machine, s.names())
	}
	s.mutex.Lock()
	r.wanted = wanted
	pid := r.pid
	s.changed(r)
	s.mutex.Unlock()
	if pid != 0 {
		if !wanted {
			_ = syscall.Kill(pid, r.signal())
		}
		// One that hangs hears of nothing before it goes on.
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	kill := time.After(stopGrace)
	for {
		s.mutex.Lock()
		pid, change, ended := r.pid, r.change, r.ended
		s.mutex.Unlock()
		if wanted == (pid != 0) {
			return nil
		}
		select {
		case <-change:
		case <-kill:
			if wanted {
				return fmt.Errorf("%s does not start: %s", name, ended)
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
			kill = nil
		}
	}
}

// signals are those that services are sent.
var signals = map[string]syscall.Signal{
	"CONT": syscall.SIGCONT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP, "TERM": syscall.SIGTERM,
}

// kill sends a signal to a service that runs.
func (s *services) kill(name, word string) error {
	r := s.find(name)
	if r == nil {
		return fmt.Errorf("no service %s on %s (it has %s)", name, s.machine, s.names())
	}
	signal, known := signals[word]
	if !known {
		return fmt.Errorf("no signal %s (CONT, HUP, KILL, STOP, TERM)", word)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.pid == 0 {
		return fmt.Errorf("%s does not run on %s", name, s.machine)
	}
	return syscall.Kill(r.pid, signal)
}

// hangs says whether a process was stopped by a signal.
func hangs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The state is the first word after the name, which stands in parentheses.
	return err == nil && strings.HasPrefix(string(text[strings.LastIndexByte(string(text), ')')+1:]), " T")
}

func (r *running) signal() syscall.Signal {
	if r.Abrupt {
		return syscall.SIGKILL
	}
	return syscall.SIGTERM
}

func (s *services) find(name string) *running {
	for _, r := range s.list {
		if r.Name == name {
			return r
		}
	}
	return nil
}

func (s *services) names() string {
	var names []string
	for _, r := range s.list {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}

func logOf(machine, service string) string { return inRun(machine, service+".log") }

// waitFor returns when a path exists, or when an address answers that all is well.
func waitFor(what string) {
	// Who answers does not matter here: it is only a question of when.
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for what != "" {
		if strings.HasPrefix(what, "/") {
			if _, err := os.Stat(what); err == nil {
				return
			}
		} else if response, err := client.Get(what); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}
