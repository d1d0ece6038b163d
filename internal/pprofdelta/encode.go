package pprofdelta

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"runtime"
	"time"
)

// The fields of the messages in profile.proto (github.com/google/pprof/proto).
const (
	profileSampleType, profileSample, profileMapping     = 1, 2, 3
	profileLocation, profileFunction, profileStringTable = 4, 5, 6
	profileTime, profileDuration                         = 9, 10
	profilePeriodType, profilePeriod, profileDefaultType = 11, 12, 14

	valueTypeName, valueTypeUnit = 1, 2

	sampleLocations, sampleValues, sampleLabel = 1, 2, 3

	labelKey, labelNumber = 1, 3

	mappingID, mappingStart, mappingLimit, mappingOffset, mappingFile = 1, 2, 3, 4, 5
	mappingHasFunctions, mappingHasInlined                            = 7, 10 // and files and lines between them

	locationID, locationMapping, locationAddress, locationLine = 1, 2, 3, 4

	lineFunction, lineNumber = 1, 2

	functionID, functionName, functionSystemName, functionFile = 1, 2, 3, 4
)

// message is an encoded message of protocol buffers.
type message []byte

// number appends a field of any integer type. The field number must be below 16. A
// zero is not written: a missing field means zero.
// It is not inlined, because that would make each of its many callers larger.
//
//go:noinline
func (m *message) number(field int, v uint64) {
	if v != 0 {
		*m = binary.AppendUvarint(append(*m, byte(field<<3)), v)
	}
}

// bytes appends a field that is a message, a string or packed numbers.
func (m *message) bytes(field int, v []byte) {
	*m = append(binary.AppendUvarint(append(*m, byte(field<<3|2)), uint64(len(v))), v...)
}

// encoder writes a profile while it is made. It writes each location and function
// when it occurs for the first time, and the strings at the end. A gzip.Writer keeps
// its first error, and close returns it.
type encoder struct {
	zip       *gzip.Writer
	memory    mapping
	strings   map[string]uint64
	table     []string
	functions map[function]uint64
	locations map[location]uint64
}

type function struct{ name, file string }

// location identifies an address and the functions that are inlined there. The
// first function determines the others, but the stack may end before the last of
// them. So the number of lines is part of the key.
type location struct {
	pc       uintptr
	function string
	lines    int
}

func newEncoder(w io.Writer) *encoder {
	zip, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the only error is an invalid level
	e := &encoder{
		zip:       zip,
		memory:    programMapping(),
		strings:   make(map[string]uint64),
		functions: make(map[function]uint64),
		locations: make(map[location]uint64),
	}
	e.text("") // the first string of a profile must be empty
	return e
}

// put writes a message as a field of the profile.
func (e *encoder) put(field int, m message) {
	var outer message
	outer.bytes(field, m)
	e.zip.Write(outer)
}

// text returns the index of a string in the string table. It adds the string if it
// is new.
func (e *encoder) text(s string) uint64 {
	i, ok := e.strings[s]
	if !ok {
		i = uint64(len(e.table))
		e.strings[s], e.table = i, append(e.table, s)
	}
	return i
}

// valueType writes a value type as a field of the profile.
func (e *encoder) valueType(field int, t valueType) {
	var m message
	m.number(valueTypeName, e.text(t.name))
	m.number(valueTypeUnit, e.text(t.unit))
	e.put(field, m)
}

// header writes the fields that come once: the types, the times and the mapping.
func (e *encoder) header(k *kind, period int64, at time.Time, took time.Duration) {
	e.valueType(profilePeriodType, k.period)
	for _, t := range k.values {
		e.valueType(profileSampleType, t)
	}
	var m message
	m.number(profilePeriod, uint64(period))
	m.number(profileDefaultType, e.text(k.shown))
	m.number(profileTime, uint64(at.UnixNano()))
	m.number(profileDuration, uint64(took))
	e.zip.Write(m)

	m = nil
	m.number(mappingID, 1)
	m.number(mappingStart, e.memory.start)
	m.number(mappingLimit, e.memory.limit)
	m.number(mappingOffset, e.memory.offset)
	m.number(mappingFile, e.text(e.memory.file))
	// The profile has all names. So pprof does not have to look for the program, and
	// does not warn if the program's file is gone.
	for has := mappingHasFunctions; has <= mappingHasInlined; has++ {
		m.number(has, 1)
	}
	e.put(profileMapping, m)
}

// sample writes a record. If size is not zero, it becomes the label "bytes".
func (e *encoder) sample(stack []runtime.Frame, values []int64, size int64) {
	var m, ids, numbers message
	for len(stack) > 0 {
		n := 1
		for n < len(stack) && inlined(stack[n-1], stack[n]) {
			n++
		}
		ids = binary.AppendUvarint(ids, e.location(stack[:n]))
		stack = stack[n:]
	}
	for _, v := range values {
		numbers = binary.AppendUvarint(numbers, uint64(v))
	}
	m.bytes(sampleLocations, ids)
	m.bytes(sampleValues, numbers)
	if size != 0 {
		var label message
		label.number(labelKey, e.text("bytes"))
		label.number(labelNumber, uint64(size))
		m.bytes(sampleLabel, label)
	}
	e.put(profileSample, m)
}

// location returns the id of a location, and writes the location if it is new. The
// frames belong to one address, the innermost first.
func (e *encoder) location(frames []runtime.Frame) uint64 {
	l := location{frames[0].PC, frames[0].Function, len(frames)}
	id, ok := e.locations[l]
	if ok {
		return id
	}
	id = uint64(len(e.locations)) + 1
	e.locations[l] = id
	var m message
	m.number(locationID, id)
	if e.memory.contains(l.pc) {
		m.number(locationMapping, 1)
	}
	m.number(locationAddress, uint64(l.pc))
	for _, f := range frames {
		var line message
		line.number(lineFunction, e.function(function{f.Function, f.File}))
		line.number(lineNumber, uint64(f.Line))
		m.bytes(locationLine, line)
	}
	e.put(profileLocation, m)
	return id
}

// function returns the id of a function, and writes the function if it is new.
func (e *encoder) function(f function) uint64 {
	id, ok := e.functions[f]
	if ok {
		return id
	}
	id = uint64(len(e.functions)) + 1
	e.functions[f] = id
	var m message
	m.number(functionID, id)
	m.number(functionName, e.text(f.name))
	m.number(functionSystemName, e.text(f.name))
	m.number(functionFile, e.text(f.file))
	e.put(profileFunction, m)
	return id
}

// close writes the strings and ends the gzip stream. It does not close the
// underlying writer.
func (e *encoder) close() error {
	for _, s := range e.table {
		e.put(profileStringTable, message(s))
	}
	return e.zip.Close()
}
