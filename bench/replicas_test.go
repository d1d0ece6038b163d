//go:build linux

package bench

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const replicas = 8

// BenchmarkReplicas compares 8 equal servers under load with oneshot diff. In every other
// round, one of them has a fault, each kind of fault in turn:
//
//	go test -run '^$' -bench Replicas -benchtime 40x -timeout 20m .
//
// Each round takes about 8 seconds. It fails unless diff names the one with the fault
// first, and finds nothing without a fault, in 19 of 20 rounds each.
func BenchmarkReplicas(b *testing.B) {
	client, err := buildClient()
	if err != nil {
		b.Fatal(err)
	}
	var named, faulty, quiet, equal int
	for round := 0; b.Loop(); round++ {
		fault := ""
		if round%2 == 1 {
			fault = replicaFaults[round/2%len(replicaFaults)]
		}
		got, want, said := compareReplicas(b, client, round%replicas, fault)
		switch {
		case fault == "":
			if equal++; got == "" {
				quiet++
			} else {
				b.Logf("round %d, without a fault: %s", round, said)
			}
		default:
			if faulty++; got == want {
				named++
			} else {
				b.Logf("round %d, %s in %s: %s", round, fault, want, said)
			}
		}
	}
	b.ReportMetric(float64(named), "named")
	b.ReportMetric(float64(faulty), "faulty")
	b.ReportMetric(float64(quiet), "quiet")
	b.ReportMetric(float64(equal), "equal")
	b.ReportMetric(0, "ns/op")
	if named*20 < faulty*19 || quiet*20 < equal*19 {
		b.Errorf("the fault was named first in %d of %d rounds, and nothing was found in %d of %d", named, faulty, quiet, equal)
	}
}

// compareReplicas starts the servers, makes one of them have a fault unless that is "",
// and returns which one diff names first, which one it should name, and what it says.
func compareReplicas(b *testing.B, client string, odd int, fault string) (got, want, said string) {
	args := []string{"diff", "-json"}
	var all []*child
	for range replicas {
		c, _ := startChild(b, "replica")
		defer c.kill()
		all = append(all, c)
		args = append(args, strconv.Itoa(c.cmd.Process.Pid))
	}
	time.Sleep(time.Second) // of load
	if fault != "" {
		all[odd].ask(b, fault)
		want = strconv.Itoa(all[odd].cmd.Process.Pid)
	}
	time.Sleep(3 * time.Second) // until the fault shows
	out, err := exec.Command(client, args...).Output()
	if err != nil {
		b.Fatalf("%v: %s", err, stderrOf(err))
	}
	var result struct {
		Odd []struct{ Name string }
	}
	if err := json.Unmarshal(out, &result); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	if len(result.Odd) > 0 {
		got = result.Odd[0].Name
	}
	return got, want, string(out)
}

func stderrOf(err error) string {
	if e, ok := err.(*exec.ExitError); ok {
		return string(e.Stderr)
	}
	return fmt.Sprint(err)
}
