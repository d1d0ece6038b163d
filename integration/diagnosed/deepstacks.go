//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"text/template"
	"time"
)

// Goroutines that wait at the end of many calls.

// step is a step of a workflow. It runs the steps inside it. The innermost one
// waits for an approval.
type step struct {
	inside   *step
	approved chan bool
}

func startWorkflows() {
	for range 3 {
		s := &step{approved: make(chan bool)}
		for range 24 {
			s = &step{inside: s}
		}
		go hold(s).run(serving)
	}
}

func (s *step) run(ctx context.Context) error {
	if s.inside != nil {
		return s.inside.run(ctx)
	}
	for {
		select {
		case <-s.approved:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Second): // a reminder
		}
	}
}

type jobHandler func(ctx context.Context) error

func startMiddleware() {
	inbox := hold(make(chan struct{}))
	h := jobHandler(func(ctx context.Context) error {
		select {
		case <-inbox:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for range 6 {
		h = recovered(timed(h))
	}
	for range 5 {
		go h(serving)
	}
}

func recovered(h jobHandler) jobHandler {
	return func(ctx context.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		return h(ctx)
	}
}

func timed(h jobHandler) jobHandler {
	return func(ctx context.Context) error {
		began := time.Now()
		defer func() { _ = time.Since(began) }()
		return h(ctx)
	}
}

// startDiskScan visits one file every two seconds, for ever.
func startDiskScan() {
	go func() {
		for {
			_ = filepath.WalkDir("/etc", func(string, fs.DirEntry, error) error {
				time.Sleep(2 * time.Second)
				return nil
			})
		}
	}()
}

// startReports writes the rows of a page as they come.
func startReports() {
	page := template.Must(template.New("page").Parse(`{{define "row"}}{{.}}{{end}}{{range .}}{{template "row" .}}{{end}}`))
	rows := hold(make(chan string))
	go func() { _ = page.Execute(io.Discard, rows) }()
	go func() {
		for range time.NewTicker(3 * time.Second).C {
			rows <- "row"
		}
	}()
}
