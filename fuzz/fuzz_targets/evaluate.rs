//! A worker of the fuzz targets, beside them.

fn main() -> std::process::ExitCode {
    talkgraph::evaluation::serve()
}
