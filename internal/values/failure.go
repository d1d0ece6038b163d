package values

import (
	"fmt"
	"reflect"
)

// maxFailure is the maximal length of the text of an error or panic, in bytes.
const maxFailure = 16 << 10

// Failure returns the text of an error, or of a value that recover has returned. It
// never panics. The fmt package does, for an error whose Error panics with the
// error itself, and such a panic in a deferred function ends the program.
//
// The program may still write to the memory behind v. So if v is neither an error nor a
// Stringer, Failure shows only what WriteLive would show.
func Failure(v any) string {
	text, method, panicked := failure(v)
	if method != "" {
		inner, _, _ := failure(panicked)
		text += " (its " + method + " panicked: " + inner + ")"
	}
	return bounded(text, maxFailure, func(s string) string { return s })
}

// failure returns the text of v. If the method that makes the text panics, failure
// also returns its name and the value of the panic.
func failure(v any) (text, method string, panicked any) {
	if s, ok := v.(string); ok {
		return s, "", nil
	}
	method, f := textMethod(v)
	if f == nil {
		return fieldsOnly(v), "", nil
	}
	text, panicked, ok := protect(f)
	if !ok {
		return fieldsOnly(v), method, panicked
	}
	return text, "", nil
}

// textMethod returns the method that returns v as a text, or nil.
func textMethod(v any) (name string, f func() string) {
	switch v := v.(type) {
	case error:
		return "Error", v.Error
	case fmt.Stringer:
		return "String", v.String
	}
	return "", nil
}

// protect calls f. If f panics, protect returns false and the value of the panic.
func protect(f func() string) (text string, panicked any, ok bool) {
	defer func() {
		if !ok {
			panicked = recover()
		}
	}()
	text = f()
	return text, nil, true
}

// fieldsOnly returns a short text of v without calling a method of it.
func fieldsOnly(v any) string {
	p := printer{limit: maxKey, line: true, live: true, silent: true}
	p.print(v, place{typed: true})
	return p.short()
}

// Contain returns an error with the same text that can be used without risk. Methods of
// err that panic, and endless chains of errors, cannot harm its user. Contain reads the
// text and the chain of err once, now, on the caller's goroutine. So call it on the
// goroutine that ran the program's code.
// errors.Is and errors.As find in the result what they find in err; errors.Unwrap
// does not. The result is nil if err is nil.
func Contain(err error) error {
	if err == nil {
		return nil
	}
	if c, ok := err.(*contained); ok {
		return c
	}
	c := &contained{text: Failure(err)}
	c.collect(err)
	return c
}

// contained is an error of the program that Contain has read.
type contained struct {
	text  string
	chain []error // the error and what it wraps
}

func (c *contained) Error() string { return c.text }

// maxChain is how many errors of a chain are looked at. A chain may lead back to
// its beginning.
const maxChain = 100

func (c *contained) collect(err error) {
	if err == nil || len(c.chain) >= maxChain {
		return
	}
	c.chain = append(c.chain, err)
	var wrapped []error
	_, _, _ = protect(func() string {
		switch x := err.(type) {
		case interface{ Unwrap() error }:
			wrapped = []error{x.Unwrap()}
		case interface{ Unwrap() []error }:
			wrapped = x.Unwrap()
		}
		return ""
	})
	for _, inner := range wrapped {
		c.collect(inner)
	}
}

// Is is called by errors.Is.
func (c *contained) Is(target error) (is bool) {
	for _, err := range c.chain {
		_, _, _ = protect(func() string {
			x, has := err.(interface{ Is(error) bool })
			is = err == target || has && x.Is(target) // == panics for some types
			return ""
		})
		if is {
			return true
		}
	}
	return false
}

// As is called by errors.As and errors.AsType.
func (c *contained) As(target any) bool {
	to := reflect.ValueOf(target).Elem()
	for _, err := range c.chain {
		if v := reflect.ValueOf(err); v.Type().AssignableTo(to.Type()) {
			to.Set(v)
			return true
		}
	}
	return false
}
