//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/rpc"
	"net/smtp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

func init() {
	add("http", "40 of 40 requests of main.storefront", "HTTP", func(context.Context) error {
		upstream = "http://" + silent() + "/price"
		return serve(requests, storefront)
	})
	add("https", "40 of 40 requests of main.storefront", "HTTP", func(context.Context) error {
		upstream = "https://" + silent() + "/price"
		return serve(requests, storefront)
	})
	add("http2", "40 of 40 requests of main.storefront", "HTTP", func(context.Context) error {
		upstream = "http://" + http2Server() + "/price"
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		client.Transport = &http.Transport{Protocols: protocols}
		return serve(requests, storefront)
	})
	add("http-pool", "40 of 44 requests of main.storefront", "net/http", func(context.Context) error {
		upstream = "http://" + silent() + "/price"
		client.Transport = &http.Transport{MaxConnsPerHost: 4}
		return serve(requests+4, storefront)
	})
	add("http-bodies", "40 of 40 requests of main.forgetful", "net/http", bodiesNotClosed)
	add("aws", "40 of 40 requests of main.enqueue", "AWS", func(context.Context) error {
		queue = sqs.New(sqs.Options{
			BaseEndpoint: aws.String("http://" + silent()),
			Region:       "eu-central-1",
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
			}),
		})
		return serve(requests, enqueue)
	})
	add("kubernetes", "40 of 40 requests of main.podList", "Kubernetes", func(context.Context) (err error) {
		config := &rest.Config{Host: "http://" + silent(), QPS: 1000, Burst: 1000}
		config.GroupVersion = &schema.GroupVersion{Version: "v1"}
		config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme())
		if pods, err = rest.RESTClientFor(config); err != nil {
			return err
		}
		return serve(requests, podList)
	})
	add("rpc", "40 of 40 requests of main.remote", "net/rpc", func(context.Context) (err error) {
		if procedures, err = rpc.Dial("tcp", silent()); err != nil {
			return err
		}
		return serve(requests, remote)
	})
	add("smtp", "40 of 40 requests of main.mail", "SMTP", func(context.Context) error {
		upstream = silent()
		return serve(requests, mail)
	})
	add("tls", "40 of 40 requests of main.secure", "TLS", func(context.Context) error {
		upstream = silent()
		return serve(requests, secure)
	})
}

var (
	upstream   string
	client     http.Client
	queue      *sqs.Client
	pods       *rest.RESTClient
	procedures *rpc.Client
)

func storefront(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	failed(price(r.Context()))
}

func price(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// bodiesNotClosed fills the pool of connections to a server with answers that nobody
// reads or closes.
func bodiesNotClosed(ctx context.Context) error {
	upstream = "http://" + listenHTTP()
	client.Transport = &http.Transport{MaxConnsPerHost: 4}
	for range 4 {
		if _, err := client.Get(upstream); err != nil { // the fault
			return err
		}
	}
	return serve(requests, forgetful)
}

func forgetful(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	resp, err := client.Get(upstream)
	if err == nil {
		err = resp.Body.Close()
	}
	failed(err)
}

func enqueue(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := queue.SendMessage(r.Context(), &sqs.SendMessageInput{QueueUrl: aws.String("orders"), MessageBody: aws.String("7")})
	failed(err)
}

func podList(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	failed(pods.Get().Namespace("shop").Resource("pods").Do(r.Context()).Error())
}

func remote(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	failed(procedures.Call("Stock.Of", 7, new(int)))
}

func mail(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := smtp.Dial(upstream)
	failed(err)
}

func secure(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := tls.Dial("tcp", upstream, &tls.Config{InsecureSkipVerify: true})
	failed(err)
}

// listenHTTP starts a server whose answers are longer than what the buffers on the way
// hold.
func listenHTTP() string {
	return listen(func(conn net.Conn) error {
		if _, err := io.CopyN(io.Discard, conn, 16); err != nil {
			return err
		}
		if _, err := fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nbegin"); err != nil {
			log.Print(err)
		}
		return nil
	})
}
