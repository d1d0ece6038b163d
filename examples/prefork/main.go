//go:build unix

// Command prefork is a server of several processes, in the style of uWSGI. A parent
// listens, and starts workers that accept connections on its socket. All workers
// use the same trigger file. This opens the manhole of the worker with that pid,
// and of no other:
//
//	echo PID > FILE; for i in 1 2 3 4 5; do nc -U /tmp/manhole-PID && break; sleep .1; done
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/gomanhole/oneshot"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	workers := flag.Int("workers", 4, "how many processes serve")
	trigger := flag.String("trigger", filepath.Join(os.TempDir(), fmt.Sprintf("prefork-%d.trigger", os.Getuid())), "the trigger file")
	isWorker := flag.Bool("worker", false, "run as a worker (only the parent sets this)")
	flag.Parse()
	run := func() error { return parent(*addr, *workers, *trigger) }
	if *isWorker {
		run = func() error { return worker(*trigger) }
	}
	if err := run(); err != nil {
		slog.Error("prefork ends", "err", err)
		os.Exit(1)
	}
}

// parent listens and starts the workers. When it gets a signal, it ends them.
func parent(addr string, workers int, trigger string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	var started []*exec.Cmd
	defer func() {
		for _, w := range started {
			_ = w.Process.Signal(syscall.SIGTERM)
			_ = w.Wait()
		}
	}()
	fmt.Printf("serving http://%s; to look into a worker:\n\n", ln.Addr())
	for range workers {
		w := exec.Command(os.Args[0], "-worker", "-trigger", trigger)
		w.Stderr = os.Stderr
		w.ExtraFiles = []*os.File{socket} // descriptor 3
		ready, err := w.StdoutPipe()
		if err != nil {
			return err
		}
		if err := w.Start(); err != nil {
			return err
		}
		started = append(started, w)
		if _, err := ready.Read(make([]byte, 1)); err != nil {
			return fmt.Errorf("worker %d: %w", w.Process.Pid, err)
		}
		pid := w.Process.Pid
		fmt.Printf("    echo %d > %s; for i in 1 2 3 4 5; do nc -U /tmp/manhole-%d && break; sleep .1; done\n", pid, trigger, pid)
	}
	fmt.Println()
	<-end
	return nil
}

// worker serves on the parent's socket until it gets a signal.
func worker(trigger string) error {
	ln, err := net.FileListener(os.NewFile(3, "the parent's socket"))
	if err != nil {
		return err
	}
	m, err := oneshot.Install(oneshot.Options{TriggerFile: trigger})
	if err != nil {
		slog.Error("no manhole", "pid", os.Getpid(), "err", err) // the service is more important
	}
	defer m.Uninstall()
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "served by", os.Getpid())
	}))
	fmt.Println("ready")
	<-end
	return nil
}
