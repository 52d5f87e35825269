use super::*;

fn read(html: &str) -> Page {
    let base = Url::parse("https://example.com/blog/").unwrap();
    readable(html, &base, Duration::from_secs(5)).0
}

#[test]
fn page_is_converted_to_text() {
    let page = read(
        "<!doctype html><html><head><title>Cats &amp;\n dogs</title>\
         <style>p { color: red }</style><script>if (1 < 2) alert('<p>no</p>')</script></head>\
         <body><nav><a href='/'>Home</a></nav><h1>Cats</h1>\
         <p>A <b>cat</b> is\n  not a <a href=\"dog.html\">dog</a>.</p>\
         <ul><li>one</li><li>two <i>three</i></li></ul>\
         <table><tr><th>a</th><td>1</td></tr><tr><th>b</th><td>2</td></tr></table>\
         <pre>x = 1\n  y = 2</pre><p>fish<br>chips</p><img alt='A cat' src=x>\
         <p><a href='#top'>up</a> <a href='javascript:void(0)'>no</a></p>\
         <footer>Imprint</footer></body></html>",
    );
    assert_eq!(page.title, "Cats & dogs");
    insta::assert_snapshot!(page.text, @r"
    # Cats

    A cat is not a dog (https://example.com/blog/dog.html).

    - one
    - two three

    | a | 1
    | b | 2

    x = 1
      y = 2

    fish
    chips

    [image: A cat]

    up no
    ");
}

#[test]
fn the_main_part_is_taken() {
    let main = "word ".repeat(100);
    let page = read(&format!(
        "<title>t</title><div>Menu</div><main><p>{main}</p></main><div>More</div>"
    ));
    assert_eq!(page.text, main.trim());
    let page = read("<div>Menu</div><main>Short</main><div>More</div>");
    assert_eq!(page.text, "Menu\n\nShort\n\nMore");
}

#[test]
fn page_of_surroundings_alone_keeps_them() {
    assert_eq!(read("<nav>One <p>Two</nav>").text, "One\n\nTwo");
    assert_eq!(
        read("<header>Never closed <p>Text").text,
        "Never closed\n\nText"
    );
    assert_eq!(read("").text, "");
}

#[test]
fn whatever_comes_ends() {
    let many = 200_000;
    for html in [
        "<div>".repeat(many),
        "<b>".repeat(many),
        "<table><tr><td>".repeat(many / 4),
        "<a href=x>".repeat(many / 4),
        "<".repeat(many),
        "&".repeat(many),
        "<!--".repeat(many),
        "<svg><script>".to_owned(),
        format!("<p {}>x", "a=b ".repeat(many)),
    ] {
        read(&html);
    }
}

#[test]
fn time_is_bounded() {
    let base = Url::parse("https://example.com/").unwrap();
    let html = format!("<p>begin</p>{}", "<p>more</p>".repeat(10_000));
    let (page, cut) = readable(&html, &base, Duration::ZERO);
    assert!(cut);
    assert!(page.text.starts_with("begin"));
}
