// Command auto is a program that has nothing of a manhole but one import. What
// the environment variable ONESHOT says decides whether there is one:
//
//	ONESHOT='oneshot_on="USR2"' go run ./examples/auto
package main

import (
	"fmt"
	"os"
	"time"

	_ "github.com/gomanhole/oneshot/auto"
)

func main() {
	fmt.Printf("pid %d counts the seconds\n", os.Getpid())
	for n := 1; ; n++ {
		time.Sleep(time.Second)
		fmt.Println(n)
	}
}
