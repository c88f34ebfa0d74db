package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// serve answers requests on a socket: one line in; out the answer, after a first line `ok` or `error ...`.
func serve(path string, answer func(request string) (string, error)) error {
	_ = os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listening at %s: %w", path, err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			request, err := bufio.NewReader(connection).ReadString('\n')
			if err != nil {
				return // only looked whether somebody is there
			}
			says, err := answer(strings.TrimSpace(request))
			if err != nil {
				fmt.Fprintf(connection, "error %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
				return
			}
			fmt.Fprintf(connection, "ok\n%s", says)
		}()
	}
}

// errNotUp is what a machine that cannot be reached means.
var errNotUp = errors.New("no cluster is up (`make cluster` brings one up)")

// ask sends a request to a machine's init, or the supervisor.
func ask(machine, request string) (string, error) {
	connection, err := dial(machine)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintln(connection, request); err != nil {
		return "", fmt.Errorf("asking %s: %w", machine, err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", machine, err)
	}
	first, rest, _ := strings.Cut(string(answer), "\n")
	if first == "ok" {
		return rest, nil
	}
	return "", errors.New(strings.TrimPrefix(first, "error "))
}

func dial(machine string) (*net.UnixConn, error) {
	connection, err := net.DialTimeout("unix", socketOf(machine), 5*time.Second)
	if err == nil {
		return connection.(*net.UnixConn), nil
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, errors.New("only root may talk to the cluster's machines (sudo)")
	}
	if machine != supervisor {
		if _, err := net.DialTimeout("unix", socketOf(supervisor), 5*time.Second); err == nil {
			return nil, fmt.Errorf("the cluster has no machine %s", machine)
		}
	}
	return nil, errNotUp
}

// pidOf finds a machine's init, as this process sees it: the kernel names who listens at the other end.
func pidOf(machine string) (int, error) {
	connection, err := dial(machine)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *syscall.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) {
		peer, failure = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failure); err != nil {
		return 0, fmt.Errorf("who serves %s: %w", socketOf(machine), err)
	}
	return int(peer.Pid), nil
}
