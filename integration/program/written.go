//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/eval"
)

// written is a program that writes its locals, each field under its lock. The argument
// is the pause between two writes; 0 is for none. The local live is the value itself,
// and copied is a func() any that locks and copies.
func init() {
	conditions["written"] = func(args []string) {
		pause, err := time.ParseDuration(args[0])
		check(err)
		r := newRecord()
		install(func(o *oneshot.Options) {
			o.Locals = map[string]any{"live": r, "copied": func() any { return r.snapshot() }}
			o.Commands = []oneshot.Command{eval.Command()}
		})
		go func() {
			for i := 0; ; i++ {
				r.write(i)
				if pause > 0 {
					time.Sleep(pause)
				}
			}
		}()
		go func() { // a value that is torn harms most when the collector looks at it
			for {
				runtime.GC()
				time.Sleep(10 * time.Millisecond)
			}
		}()
		ready()
		select {}
	}
}

// record has a field of every kind that can be read half old and half new.
type record struct {
	mu sync.Mutex

	N       int
	F       float64
	On      bool
	Took    time.Duration
	Hits    atomic.Int64
	Current atomic.Pointer[asked]
	Value   atomic.Value
	Started time.Time
	Next    *asked
	Cycle   *record

	Last  error
	State any
	Name  string
	All   []*asked
	Index map[int]string
	Any   reflect.Value
	Call  func() int
	Done  chan int
	Small [4]int16
	hide  any
}

type asked struct {
	Peer string
	Err  error
	Size int
	Next *asked
}

func (r *asked) String() string { return "request from " + r.Peer }

func newRecord() *record {
	r := &record{Index: make(map[int]string)}
	r.Cycle = r
	r.write(0)
	return r
}

// write changes every field.
func (r *record) write(i int) {
	one := &asked{Peer: fmt.Sprint("10.0.0.", i%256), Size: i}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.N, r.F, r.On, r.Took = i, float64(i), i%2 == 0, time.Duration(i)
	r.Hits.Add(1)
	r.Current.Store(one)
	r.Value.Store(*one)
	r.Started = []time.Time{{}, time.Now()}[i%2]
	r.Next = []*asked{nil, one, {Next: one}}[i%3]
	r.Last = []error{errors.New(one.Peer), &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, syscall.ETIMEDOUT, nil}[i%4]
	r.State = []any{"waiting", uintptr(0x7fff1234), uint64(0xdeadbeefcafe), one, 3.5, nil}[i%6]
	r.Name = []string{"", one.Peer, long}[i%3]
	r.All = [][]*asked{nil, {one}, {one, one, one}, make([]*asked, 64)}[i%4]
	r.Index[i%1000] = one.Peer
	r.Any = []reflect.Value{{}, reflect.ValueOf(one), reflect.ValueOf(i), reflect.ValueOf(one.Peer)}[i%4]
	r.Call = []func() int{nil, func() int { return i }}[i%2]
	r.Done = []chan int{nil, make(chan int), make(chan int, 8)}[i%3]
	r.Small = [4]int16{int16(i)}
	r.hide = r.State
}

var long = string(make([]byte, 1<<20))

// snapshot copies what a person wants to see.
func (r *record) snapshot() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return struct {
		N     int
		Last  error
		State any
		Name  string
		All   []*asked
		Index map[int]string
	}{r.N, r.Last, r.State, r.Name[:min(len(r.Name), 20)], slices.Clone(r.All), maps.Clone(r.Index)}
}
