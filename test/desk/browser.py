"""A reader of the desk's pages over HTTP: keeps cookies, follows redirects, fills in forms as they stand in the page."""

import html.parser
import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request


class _Forms(html.parser.HTMLParser):
    """The forms of a page, with their fields as a browser would send them, and their buttons; and where it links to."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self.links = []
        self._form = self._area = self._select = self._option = None
        self._text = ""
        self.feed(text)

    def handle_starttag(self, tag, pairs):
        given = dict(pairs)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "form":
            self._form = {"action": given.get("action", ""), "method": given.get("method", "get"), "fields": [], "buttons": []}
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "input" and given.get("name"):
            if given.get("type") != "checkbox" or "checked" in given:
                self._form["fields"].append((given["name"], given.get("value") or ""))
        elif tag == "textarea":
            self._area, self._text = given["name"], ""
        elif tag == "select":
            self._select = [given["name"], None]
        elif tag == "option" and self._select:
            self._text, self._option = "", given
        elif tag == "button":
            self._text = ""
            self._form["buttons"].append({"action": given.get("formaction"), "name": given.get("name"), "value": given.get("value"), "label": ""})

    def handle_data(self, data):
        self._text += data

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif self._form is None:
            return
        elif tag == "textarea":
            self._form["fields"].append((self._area, self._text.removeprefix("\n")))
        elif tag == "option" and self._select:
            if "selected" in self._option or self._select[1] is None:  # else the first
                self._select[1] = self._option.get("value", self._text) or ""
        elif tag == "select":
            self._form["fields"].append((self._select[0], self._select[1] or ""))
            self._select = None
        elif tag == "button":
            self._form["buttons"][-1]["label"] = self._text.strip()


class Browser:
    def __init__(self, address):
        self.address = address
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.status = self.url = self.text = self.headers = None

    def get(self, path, headers=None):
        return self._ask(urllib.request.Request(urllib.parse.urljoin(self.url or self.address, path), headers=headers or {}))

    def post(self, path, fields, headers=None):
        return self._ask(urllib.request.Request(urllib.parse.urljoin(self.url or self.address, path),
                                                data=urllib.parse.urlencode(fields).encode(), headers=headers or {}))

    def press(self, label, where=None, **values):
        """Presses the first button of that name whose form has such fields (where: and such values), filled in with values."""
        for form in _Forms(self.text).forms:
            if not set((where or {}).items()) <= set(form["fields"]):
                continue
            for button in form["buttons"]:
                if button["label"] == label:
                    fields = [(name, value) for name, value in form["fields"] if name not in values]
                    for name, value in values.items():
                        fields += [(name, each) for each in (value if isinstance(value, list) else [value])]
                    if button["name"]:
                        fields.append((button["name"], button["value"] or ""))
                    action = button["action"] or form["action"] or self.url
                    return self.get(action + "?" + urllib.parse.urlencode(fields)) if form["method"] == "get" else self.post(action, fields)
        raise AssertionError(f'no button "{label}" with {where} at {self.url}:\n{self.text[:2000]}')

    def links(self):
        """Where the page leads to, of the desk."""
        found = (urllib.parse.urljoin(self.url, link).partition("#")[0] for link in _Forms(self.text).links)
        return [link for link in found if link.startswith(self.address)]

    def forms(self):
        """The page's forms that change something, or ask: action, method and fields."""
        return [(urllib.parse.urljoin(self.url, form["action"]), form["method"], dict(form["fields"]), form["buttons"]) for form in _Forms(self.text).forms]

    def token(self):
        return next(v for form in _Forms(self.text).forms for n, v in form["fields"] if n == "csrf")

    def _ask(self, request):
        try:
            answer = self._opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.status, self.url, self.headers = answer.status, answer.url, answer.headers
            self.text = answer.read().decode()
        return self

    def log_in(self, user, password):
        self.get(self.address + "/login")
        return self.press("Log in", user=user, password=password)
