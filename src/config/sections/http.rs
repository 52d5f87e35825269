//! The listener and the transports.

use std::net::IpAddr;

sections! {
    /// The listener and the transports.
    HttpSettings {
        /// Address to listen on. Any but loopback needs `[[auth.keys]]`.
        address: IpAddr = "127.0.0.1",
        /// Port to listen on; 0 takes a free one. Also: PORT.
        port: u16 [0..] = 8_080,
        /// Most open connections; more wait to be accepted.
        connections: usize = 30_000,
        /// Longest time for the head of a request to arrive, and for a connection to be idle
        /// between two requests, in milliseconds.
        head_timeout_ms: u64 = 30_000,
        /// Largest head of a request, in bytes: its URL and headers, so also the longest document
        /// and variables of a GET. A larger one is answered with 431.
        head_bytes: u32 [8_192..] = 16_384,
        /// Most bytes of requests, and of answers that their clients have not read yet, in memory
        /// at one time; a tenant may use half of them. New requests are refused from three
        /// quarters on, with 503 and Retry-After, or by closing the WebSocket with 1013. Answers
        /// without room are refused too, as an error UNAVAILABLE within an event stream or a
        /// WebSocket; the result of a mutation is always reported. At least four times
        /// `body_limit_bytes` and `websocket_message_bytes`. /health is always answered.
        in_flight_bytes: usize = 268_435_456,
        /// Largest request body, in bytes; a larger one is answered with 413.
        body_limit_bytes: usize = 1_048_576,
        /// Longest time for a request's body to arrive, in milliseconds; a slower one is answered
        /// with 408.
        body_timeout_ms: u64 = 10_000,
        /// Longest time of a query, in milliseconds.
        query_timeout_ms: u64 = 40_000,
        /// Longest time of a mutation, in milliseconds. A `chat` mutation that takes longer is
        /// answered with UNAVAILABLE and its run goes on.
        request_timeout_ms: u64 = 120_000,
        /// Further names of the server (the Host of a request, without port) besides localhost,
        /// 127.0.0.1, `[::1]` and http.address; a request to another name is answered with 421.
        /// Empty: no other name without keys, any name with keys. Names that a reverse proxy
        /// passes on belong here.
        hosts: Vec<String> = [],
        /// Origins that may call from a browser, such as `https://app.example.com`.
        cors_origins: Vec<String> = [],
        /// Serves GraphiQL at /.
        graphiql: bool = true,
        /// Lets clients read the schema, through introspection or as /schema.graphql.
        introspection: bool = true,
        /// Interval of the keep-alives of a quiet event stream, in milliseconds.
        keep_alive_ms: u64 = 12_000,
        /// Most open event streams (Server-Sent Events and multipart) of one caller; one more is
        /// refused with 429 and `LIMIT_EXCEEDED`. A key is one caller, and so are all clients of a
        /// server without keys: a back end that serves its users with one key needs as many as
        /// they have.
        streams: usize = 10_000,
        /// Most open event streams in all; one more is refused with 503.
        streams_total: usize = 20_000,
        /// Longest time for a new WebSocket to send `connection_init`, in milliseconds.
        websocket_init_timeout_ms: u64 = 10_000,
        /// Largest WebSocket message from a client, in bytes. Before `connection_ack` it is 16,384
        /// at most, and only `connection_init` and pings with a payload of up to 125 bytes are read.
        websocket_message_bytes: usize = 1_048_576,
        /// Most bytes of messages that wait for the client of one WebSocket, in addition to a limit
        /// of 64 messages; beyond it its operations wait. A longer message waits alone.
        websocket_queue_bytes: usize = 1_048_576,
        /// Most open operations of one WebSocket.
        websocket_operations: usize = 100,
        /// Most open WebSockets of one caller; one more is closed with 1013. As for streams, a key
        /// is one caller.
        websocket_connections: usize = 10_000,
        /// Most open WebSockets in all; one more is answered with 503. Each takes a file descriptor
        /// of the process.
        websocket_connections_total: usize = 20_000,
        /// Longest time for a WebSocket to leave a ping unanswered or its events unread, in
        /// milliseconds.
        websocket_stall_timeout_ms: u64 = 30_000,
        /// Longest time for the client of an event stream to leave it unread, in milliseconds. Then
        /// the stream ends, with an error that names the sequence to resume from if the client
        /// reads again, and a connection that takes nothing for twice as long is closed.
        stream_stall_timeout_ms: u64 = 30_000,
        /// Longest time of the database for a check of /health/ready, in milliseconds; a server
        /// whose database takes longer, or on which a write waits for longer, is not ready. Keep it
        /// below the time that a probe waits for an answer.
        ready_timeout_ms: u64 = 2_000,
        /// Time for which a server that gets SIGTERM reports that it is not ready and still serves
        /// everything, in milliseconds: long enough for a load balancer to notice. Then it refuses
        /// starts and drains. Ctrl-C (SIGINT) does not wait. 0: no wait.
        shutdown_delay_ms: u64 [0..] = 5_000,
        /// Time for active runs to finish when the server stops, in milliseconds; the remaining
        /// runs are left to the next server. 0: all are.
        drain_timeout_ms: u64 [0..] = 30_000,
        /// Longest time of a stopping server beyond that to write pending events and close, in
        /// milliseconds; then the process ends with exit code 4.
        stop_grace_ms: u64 = 15_000,
    }
}
