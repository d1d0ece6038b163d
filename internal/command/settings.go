package command

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// settingCommands are the commands that change settings of the runtime. Each shows
// the old value, so that it can be restored, and the new one.
var settingCommands = []*Command{
	{
		Name: "setgc", Args: "[N|off]", Summary: "show or set GOGC: how much the heap may grow until it is collected",
		Help: "The next collection starts when the heap has grown by N percent since the last one (debug.SetGCPercent).\n" +
			"The default is 100. A smaller N saves memory and costs CPU time. With off, only a memory limit starts a\n" +
			"collection; without a limit, nothing does." + forHelp,
		Flags: []string{forFlag, jsonFlag},
		Run:   func(ctx context.Context, s Session, args []string) error { return gogc.Run(ctx, s, args) },
	},
	{
		Name: "memlimit", Args: "[BYTES|off]", Summary: "show or set the soft memory limit of the runtime (GOMEMLIMIT)",
		Help: "Write a unit behind the number: memlimit 1.5GiB. The units are B, KB, MB, GB, TB, KiB, MiB, GiB and TiB. The\n" +
			"limit is for the \"from system\" of mem (debug.SetMemoryLimit). If the live heap is larger than the limit,\n" +
			"the collector runs all the time, on up to half of the CPUs, and cannot keep the limit. memlimit off ends that." + forHelp,
		Flags: []string{forFlag, jsonFlag},
		Run:   func(ctx context.Context, s Session, args []string) error { return memoryLimit.Run(ctx, s, args) },
	},
	{
		Name: "maxprocs", Args: "[N|default]", Summary: "show or set GOMAXPROCS: how many threads run Go code at a time",
		Help: "A change stops the program for a moment; if a collection is running, it waits for its end. With a number, the\n" +
			"value stays until somebody changes it. With default, the runtime follows the CPUs and the cgroup limit." + forHelp,
		Flags: []string{forFlag, jsonFlag},
		Run:   func(ctx context.Context, s Session, args []string) error { return maxProcs.Run(ctx, s, args) },
	},
	{
		Name: "freeosmem", Summary: "collect garbage and give the system all memory that is free",
		Help: "It runs a collection and then returns as much memory as possible to the system (debug.FreeOSMemory). The\n" +
			"program is slower afterwards, until it has the memory that it needs again." + jsonHelp,
		Flags: []string{jsonFlag}, Run: answers(NoArgs(findFreeOSMem)),
	},
	{
		Name: "blockrate", Args: "[N]", Summary: "show or set how much waiting is recorded for profile block",
		Help: "On average, one wait is recorded for every N nanoseconds of waiting (runtime.SetBlockProfileRate). 1 records\n" +
			"every wait and can slow a program down; 0 turns it off. Try 10000 first. The runtime does not tell the rate,\n" +
			"so the command can show only a rate that was set here." + forHelp,
		Flags: []string{forFlag, jsonFlag},
		Run:   func(ctx context.Context, s Session, args []string) error { return blockRateSetting.Run(ctx, s, args) },
	},
	{
		Name: "mutexfraction", Args: "[N]", Summary: "show or set how much waiting for locks is recorded for profile mutex",
		Help:  "On average, one of N waits for a lock is recorded (runtime.SetMutexProfileFraction). 1 records all; 0 turns it off." + forHelp,
		Flags: []string{forFlag, jsonFlag},
		Run:   func(ctx context.Context, s Session, args []string) error { return mutexFraction.Run(ctx, s, args) },
	},
}

// forHelp is what the help of these commands says about -for.
const forHelp = "\n  -for TIME  only for that time, such as 10m; then the old value is set again, unless it was changed meanwhile" + jsonHelp

// The settings of the runtime.
var (
	gogc             = Setting{"setgc", "GOGC", readGOGC, setGOGC, readGOGC, noteGOGC}
	memoryLimit      = Setting{"memlimit", "memory limit", readLimit, setLimit, limitValue, noteLimit}
	maxProcs         = Setting{"maxprocs", "GOMAXPROCS", readProcs, setProcs, readProcs, nil}
	blockRateSetting = Setting{"blockrate", "block profile rate", readBlockRate, setBlockRate, blockRateValue, nil}
	mutexFraction    = Setting{"mutexfraction", "mutex profile fraction", readMutexFraction, setMutexFraction, mutexFractionValue, nil}
)

// number parses a number from least to most. others is added to the error text: it
// names the other values that are allowed.
func number(value string, least, most int, others string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q: give a number from %d to %d%s", plaintext.Clip(value, 40), least, most, others)
	}
	return n, nil
}

const maxGOGC = 1_000_000

func readGOGC() string { return gogcText(vitals.Read().GOGC) }

func gogcText(gogc uint64) string {
	if gogc > math.MaxInt32 { // the runtime's value for GOGC=off
		return "off"
	}
	return fmt.Sprint(gogc)
}

func setGOGC(value string) error {
	n := -1
	switch value {
	case "off":
	case "0": // other commands use 0 for off
		return errors.New("with 0 the collector would run all the time; setgc off turns it off")
	default:
		var err error
		if n, err = number(value, 1, maxGOGC, ", or off"); err != nil {
			return err
		}
	}
	debug.SetGCPercent(n)
	return nil
}

func noteGOGC() string {
	m := vitals.Read()
	if m.GOGC <= math.MaxInt32 || m.Limit < vitals.NoLimit {
		return ""
	}
	return "nothing collects garbage now, because there is no memory limit: memlimit BYTES sets one, and setgc 100 is the default"
}

// Bounds of a memory limit. No Go program can run in less than leastLimit.
const (
	leastLimit = 1 << 20
	mostLimit  = 1 << 50
)

func readLimit() string {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return "off"
	}
	return fmt.Sprintf("%s (%dB)", vitals.Bytes(uint64(limit)), limit)
}

// limitValue returns the limit as setLimit takes it.
func limitValue() string {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return "off"
	}
	return fmt.Sprintf("%dB", limit)
}

func setLimit(value string) error {
	limit := int64(math.MaxInt64)
	if value != "off" {
		var err error
		if limit, err = parseLimit(value); err != nil {
			return err
		}
	}
	debug.SetMemoryLimit(limit)
	return nil
}

func noteLimit() string { return noteLimitOf(vitals.Read()) }

func noteLimitOf(m vitals.Sample) string {
	if m.Limit >= m.InUse() {
		return ""
	}
	live := "" // before the first collection, it is not known how much is
	if m.LiveHeap > 0 {
		live = fmt.Sprintf(", of which %s is live", vitals.Bytes(m.LiveHeap))
	}
	return fmt.Sprintf("the program has %s%s: the collector may run all the time; memlimit off ends that", vitals.Bytes(m.InUse()), live)
}

var byteUnits = map[string]uint64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// parseLimit parses a memory limit and checks its bounds. It computes with
// integers, because a float64 would lose the last bytes of a large limit.
func parseLimit(value string) (int64, error) {
	name := strings.TrimLeft(value, digits+".")
	whole, fraction, point := strings.Cut(value[:len(value)-len(name)], ".")
	name = strings.TrimPrefix(name, " ")
	if !isDigits(whole) || point && !isDigits(fraction) || strings.Trim(name, letters) != "" {
		return 0, fmt.Errorf("%q: give a number and a unit, such as 1.5GiB, or off", plaintext.Clip(value, 40))
	}
	unit, known := byteUnits[strings.ToLower(name)]
	if !known {
		return 0, fmt.Errorf("%q: there is no unit %q; give B, KB, MB, GB, TB, KiB, MiB, GiB or TiB", plaintext.Clip(value, 40), plaintext.Clip(name, 40))
	}
	n, err := strconv.ParseUint(whole, 10, 64)
	if err == nil && n <= mostLimit/unit { // the product cannot overflow
		n = n*unit + partOf(unit, fraction)
		if n >= leastLimit && n <= mostLimit {
			return int64(n), nil
		}
	}
	return 0, fmt.Errorf("%q: give a limit from 1MiB to 1024TiB, or off", plaintext.Clip(value, 40))
}

func isDigits(s string) bool {
	return len(s) >= 1 && len(s) <= 20 && strings.Trim(s, digits) == ""
}

// partOf returns the bytes that the digits after the decimal point mean in a unit.
// It reads 18 digits. Further digits are worth less than a byte in every unit.
func partOf(unit uint64, fraction string) uint64 {
	n, _ := strconv.ParseUint((fraction + "000000000000000000")[:18], 10, 64)
	high, low := bits.Mul64(n, unit)
	part, _ := bits.Div64(high, low, 1e18)
	return part
}

func readProcs() string { return fmt.Sprint(runtime.GOMAXPROCS(0)) }

func setProcs(value string) error {
	if value == "default" {
		runtime.SetDefaultGOMAXPROCS()
		return nil
	}
	n, err := number(value, 1, 4096, ", or default")
	if err == nil {
		runtime.GOMAXPROCS(n)
	}
	return err
}

// maxRate is larger than any useful rate. For blockrate it is a second.
const maxRate = 1_000_000_000

// blockRate is the rate that the command blockrate has set. The runtime has no
// function that returns the rate. The rate belongs to the process, not to one
// manhole, so this is a package variable.
var blockRate struct {
	mu    sync.Mutex // guards the fields below, and the runtime's rate itself
	known bool
	rate  int
}

func readBlockRate() string {
	blockRate.mu.Lock()
	defer blockRate.mu.Unlock()
	if !blockRate.known {
		return "not known"
	}
	return rateText(blockRate.rate)
}

func rateText(rate int) string {
	if rate <= 0 {
		return "0 (off)"
	}
	return fmt.Sprint(rate)
}

// blockRateValue returns the rate as setBlockRate takes it.
func blockRateValue() string {
	blockRate.mu.Lock()
	defer blockRate.mu.Unlock()
	if !blockRate.known {
		return ""
	}
	return fmt.Sprint(blockRate.rate)
}

func setBlockRate(value string) error {
	n, err := number(value, 0, maxRate, " (nanoseconds; 0 is off)")
	if err != nil {
		return err
	}
	blockRate.mu.Lock()
	defer blockRate.mu.Unlock()
	runtime.SetBlockProfileRate(n)
	blockRate.known, blockRate.rate = true, n
	return nil
}

func readMutexFraction() string { return rateText(runtime.SetMutexProfileFraction(-1)) }

// mutexFractionValue returns the fraction as setMutexFraction takes it.
func mutexFractionValue() string { return fmt.Sprint(max(0, runtime.SetMutexProfileFraction(-1))) }

func setMutexFraction(value string) error {
	n, err := number(value, 0, maxRate, " (0 is off)")
	if err == nil {
		runtime.SetMutexProfileFraction(n)
	}
	return err
}
