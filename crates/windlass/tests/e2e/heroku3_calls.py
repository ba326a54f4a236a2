"""The main calls of PyPI's heroku3, unmodified, on an app that is deployed already.

Usage: heroku3_calls.py URL TOKEN DEPLOYED_APP NEW_APP
"""

import sys

import heroku3
import requests

url, token, deployed, new = sys.argv[1:]
# The library's own hook for another server.
heroku3.api.HEROKU_URL = url

calls = 0


def check(what, is_so):
    global calls
    calls += 1
    if not is_so:
        raise SystemExit(f"call {calls}: {what}")


def check_refused(what, status, call):
    try:
        call()
    except requests.exceptions.HTTPError as error:
        check(f"{what}: {error}", error.response.status_code == status)
    else:
        check(f"{what} was not refused", False)


wrong = heroku3.from_key("wl-0000000000000000000000000000000000000000")
check("a wrong token is none", not wrong.is_authenticated)
heroku = heroku3.from_key(token)
check("the token is right", heroku.is_authenticated)
check("the account has an address", "@" in heroku.account().email)
check("there is a rate limit", heroku.rate_limit.remaining > 0)
check("it is in the header too", heroku.ratelimit_remaining() > 0)
check("requests have ids", heroku.last_request_id)
check("there are no keys", len(heroku.keys()) == 0)
check("authorizations have a token", heroku.oauthauthorizations()[0].access_token)
check_refused("an OAuth client", 404, lambda: heroku.oauthclient("none"))
check("features are listed", "dashboard-repositories-api" in heroku.features())
check("no services of add-ons are offered", len(heroku.addon_services()) == 0)

made = heroku.create_app(name=new, stack_id_or_name="debian-12", region_id_or_name="local")
check("an app is made", made.name == new and made.region.name == "local")
check("one that is there is taken as it is", heroku.apps()[new].id == made.id)
check("it can be found by id", heroku.app(made.id).name == new)
check_refused("another stack", 422, lambda: heroku.create_app(stack_id_or_name="cedar"))
check("maintenance is switched on", made.enable_maintenance_mode().maintenance)
check("and off", not made.disable_maintenance_mode().maintenance)
check("it gets another name", made.rename(f"{new}-b").name == f"{new}-b")
check("and is destroyed", heroku.app(f"{new}-b").delete())
check_refused("an app that is gone", 404, lambda: heroku.app(new))

app = heroku.app(deployed)
check("it has a URL", app.web_url.startswith("http"))
config = app.config()
config["COLOR"] = "blue"
check("a variable is set", app.config().to_dict() == {"COLOR": "blue"})
config.update({"COLOR": "red", "SIZE": "9"})
check("several are", app.config().to_dict() == {"COLOR": "red", "SIZE": "9"})
del config["SIZE"]
check("one is removed", app.config().to_dict() == {"COLOR": "red"})
check("by the app's own call too", app.update_config({"COLOR": None}).to_dict() == {})
releases = app.releases()
check("releases are in order", [r.version for r in releases] == list(range(1, len(releases) + 1)))
check("newest first, on request", app.releases(sort="desc", limit=1)[0].version == len(releases))
back = app.rollback("v3")
check("v3 is back", back.version == len(releases) + 1 and app.config()["COLOR"] == "blue")
check("builds are listed", app.builds()[0].status == "succeeded")

formation = app.process_formation()
check("the formation has both types", {entry.type for entry in formation} == {"web", "worker"})
check("a type is scaled", formation["worker"].scale(1).quantity == 1)
check("by name", app.scale_formation_process("worker", 2).quantity == 2)
batch = app.batch_scale_formation_processes({"web": 1, "worker": 0})
check("several at once", {entry.type: entry.quantity for entry in batch} == {"web": 1, "worker": 0})
resized = app.batch_resize_formation_processes({"web": "standard-2x"})
check("sizes change", resized["web"].size == "Standard-2X")
dynos = app.dynos()
# Those that were scaled away may still be on their way out.
web = [dyno for dyno in dynos if dyno.name == "web.1"]
check("a dyno runs", web and web[0].type == "web" and web[0].release.version > 1)
check("it restarts", web[0].kill())
check("all do", app.restart())
run = app.run_command_detached("echo said by heroku3")
check("a command runs", run.name.startswith("run."))

check("no domain but the default", [d.kind for d in app.domains()] == ["heroku"])
domain = app.add_domain(f"www.{deployed}.example", None)
check("a domain is added", domain.hostname == f"www.{deployed}.example")
check("it is found", app.get_domain(domain.hostname).cname)
check("and removed", app.remove_domain(domain.hostname))
check("there are no certificates", len(app.sni_endpoints()) == 0)
check("the owner works on it", ["@" in c.user.email for c in app.collaborators()] == [True])
check("no add-ons", len(app.addons()) == 0)
check_refused("an add-on", 422, lambda: app.install_addon("heroku-postgresql"))
check("features of the app are listed", "preboot" in app.features())
check("one is switched on", app.enable_feature("runtime-dyno-metadata").enabled)
check("and off", not app.disable_feature("runtime-dyno-metadata").enabled)
drain = app.create_logdrain("https://logs.example.com/drain")
check("a drain is added", [d.token for d in app.logdrains()] == [drain.token])
check("and removed", app.remove_logdrain(drain.id).id == drain.id)
check("buildpacks are set", app.update_buildpacks(["https://example.com/b.tgz"]))
check("and listed", len(app.buildpacks()) == 1)
check("and cleared", app.update_buildpacks([]))
check("the log is there", "web.1" in app.get_log(lines=1500))
check("of one source", " app[web.1]: " not in app.get_log(lines=1500, source="heroku"))
lines = app.stream_log(lines=5, timeout=20)
check("the log is streamed", b"[" in next(lines))
print(f"{calls} calls")
