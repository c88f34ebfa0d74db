package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// children are the processes of the init of a PID namespace: those it started, and every orphan that becomes its own.
// All of them are reaped here, so that nothing else of this program may wait for a process (os/exec does).
type children struct {
	mutex   sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

func newChildren() *children {
	c := &children{waiting: map[int]chan syscall.WaitStatus{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for {
			select {
			case <-ended:
			case <-time.After(time.Second): // signals merge
			}
			c.reap()
		}
	}()
	return c
}

func (c *children) reap() {
	for {
		var status syscall.WaitStatus
		// Started and noted is one step, so that no end is lost in between.
		c.mutex.Lock()
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == nil && pid > 0 {
			if done, known := c.waiting[pid]; known {
				done <- status
				delete(c.waiting, pid)
			}
		}
		c.mutex.Unlock()
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}

// start begins a process; its end arrives once on the channel.
func (c *children) start(argv []string, attributes *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, nil, err
	}
	return c.startAs(path, argv, attributes)
}

// startAs begins the program at a path under another name.
func (c *children) startAs(path string, argv []string, attributes *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	if attributes.Env == nil {
		attributes.Env = os.Environ()
	}
	done := make(chan syscall.WaitStatus, 1)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	pid, err := syscall.ForkExec(path, argv, attributes)
	if err != nil {
		return 0, nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	c.waiting[pid] = done
	return pid, done, nil
}

// run runs a command to its end; what it wrote is part of the error.
func (c *children) run(argv ...string) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	_, done, err := c.start(argv, &syscall.ProcAttr{Files: []uintptr{null.Fd(), write.Fd(), write.Fd()}})
	write.Close()
	if err != nil {
		return err
	}
	var output bytes.Buffer
	copied := make(chan struct{})
	go func() {
		_, _ = output.ReadFrom(read)
		close(copied)
	}()
	status := <-done
	<-copied
	if status.ExitStatus() != 0 {
		return fmt.Errorf("%s: %s", strings.Join(argv, " "), strings.TrimSpace(output.String()))
	}
	return nil
}
